{%- set soon = optional_setting_text("loyalty.points.expiring_within", "30d") -%}
{%- set value = optional_setting_text("loyalty.points.value", "0") -%}
{%- set min_redeem = optional_setting_text("loyalty.points.min_redeem", "1") -%}
{%- set long_days = setting("profile.windows.long_days", "integer") -%}

with

entries as (
    select * from {{ ref("int_point_entries") }}
),

expiries as (
    select * from {{ ref("int_point_expiries") }}
),

expired as (
    select
        customer_id,
        sum(points) as points
    from expiries
    group by customer_id
),

summed as (
    select
        customer_id,
        sum(points) as points,
        sum(points) filter (
            where points > 0 and entered_on >= {{ as_of_date() }} - {{ long_days }}
        ) as earned_long,
        -sum(points) filter (
            where
            points < 0 and reason <> 'expire'
            and entered_on >= {{ as_of_date() }} - {{ long_days }}
        ) as used_long,
        -sum(points) filter (where points < 0) as gone,
        sum(points) filter (
            where points > 0 and greatest(expires_on, entered_on) < {{ as_of_date() }}
            and expires_on is not null
        ) as ended,
        sum(points) filter (
            where
            points > 0 and expires_on is not null
            and greatest(expires_on, entered_on) < {{ plus_duration(as_of_date(), soon) }}
        ) as ending,
        min(greatest(expires_on, entered_on)) filter (
            where points > 0 and expires_on is not null
            and greatest(expires_on, entered_on) >= {{ as_of_date() }}
        ) as next_end
    from entries
    group by customer_id
),

balances as (
    select
        summed.customer_id,
        summed.points - coalesce(expired.points, 0) as balance,
        coalesce(summed.earned_long, 0) as earned_long,
        coalesce(summed.used_long, 0) as used_long,
        coalesce(summed.ending, 0) as ending,
        -- Points used beyond those already expired come off those that expire next.
        coalesce(summed.gone, 0) + coalesce(expired.points, 0) as gone,
        coalesce(summed.gone, 0) + coalesce(expired.points, 0) > coalesce(summed.ended, 0)
            as is_walk_needed,
        coalesce(summed.ended, 0) as ended,
        summed.next_end
    from summed
    left join expired on summed.customer_id = expired.customer_id
),

open_lots as (
    select
        entries.customer_id,
        greatest(entries.expires_on, entries.entered_on) as ends_on,
        sum(entries.points) as points
    from entries
    inner join balances on entries.customer_id = balances.customer_id
    where
        entries.points > 0
        and entries.expires_on is not null
        and greatest(entries.expires_on, entries.entered_on) >= {{ as_of_date() }}
        and balances.is_walk_needed
    group by entries.customer_id, greatest(entries.expires_on, entries.entered_on)
),

walked as (
    select
        customer_id,
        ends_on,
        sum(points) over (
            partition by customer_id order by ends_on
            rows between unbounded preceding and current row
        ) as ending
    from open_lots
),

next_ends as (
    select
        walked.customer_id,
        min(walked.ends_on) as next_end
    from walked
    inner join balances on walked.customer_id = balances.customer_id
    where balances.ended + walked.ending > balances.gone
    group by walked.customer_id
),

final as (
    select
        balances.customer_id,
        cast(balances.balance as bigint) as balance,
        cast(greatest(balances.ending - balances.gone, 0) as bigint) as expiring,
        case when balances.is_walk_needed then next_ends.next_end else balances.next_end end
            as next_expiry_on,
        cast(balances.earned_long as bigint) as earned_long,
        cast(balances.used_long as bigint) as used_long,
        cast(round(greatest(balances.balance, 0) * {{ value }}, 2) as decimal(18, 2)) as worth,
        cast(
            case when balances.balance >= {{ min_redeem }} then balances.balance else 0 end
            as bigint
        ) as redeemable
    from balances
    left join next_ends on balances.customer_id = next_ends.customer_id
)

select * from final
