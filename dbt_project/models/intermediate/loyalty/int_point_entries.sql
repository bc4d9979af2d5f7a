{%- set ledger = points_ledger() -%}
{%- set expire_after = optional_setting_text("loyalty.points.expire_after", "1y") -%}

with

crm as (
    select * from {{ ref("stg_points") }}
),

activity as (
    select * from {{ ref("int_point_activity") }}
),

campaign_days as (
    select * from {{ ref("int_point_campaign_days") }}
),

tier_changes as (
    select * from {{ ref("int_customer_tier_changes") }}
),

tiers as (
    select * from {{ source("program", "tiers") }}
),

earnings as (
    select * from {{ source("program", "point_earnings") }}
),

held as (
    select
        customer_id,
        tier,
        -- Only the first tier may have begun before the run that found it.
        case when change_no = 1 then coalesce(tier_since, changed_on) else changed_on end
            as from_day,
        lead(changed_on) over (partition by customer_id order by change_no) as before_day
    from tier_changes
    where '{{ ledger }}' = 'computed'
),

tier_factors as (
    select
        held.customer_id,
        held.from_day,
        held.before_day,
        tiers.points_factor as factor
    from held
    inner join tiers on held.tier = tiers.id
    where
        tiers.points_factor > 1
        and (held.before_day is null or held.before_day > held.from_day)
),

counted as (
    select
        activity.customer_id,
        activity.entered_at,
        activity.entered_on,
        activity.reason,
        campaign_days.campaign,
        coalesce(tier_factors.factor, 1) * coalesce(campaign_days.factor, 1) as factor,
        case
            when activity.reason = 'purchase' then cast(activity.amount as double)
            else least(activity.times, coalesce(earnings.most_per_day, activity.times))
        end * earnings.points as base_points
    from activity
    inner join earnings on activity.reason = earnings.reason
    left join campaign_days
        on activity.entered_on = campaign_days.day and activity.reason = campaign_days.reason
    left join tier_factors
        on
            activity.customer_id = tier_factors.customer_id
            and activity.entered_on >= tier_factors.from_day
            and activity.entered_on < coalesce(tier_factors.before_day, date '9999-12-31')
),

computed as (
    select
        cast(null as varchar) as entry_id,
        customer_id,
        entered_at,
        entered_on,
        reason,
        -- Rounded first, so that 0.1 × 30 is 3 and not the 2 below 2.9999.
        cast(floor(round(base_points * factor, 6)) as bigint) as points,
        {{ plus_duration("entered_on", expire_after) }} as expires_on,
        'computed' as origin,
        campaign,
        factor
    from counted
),

final as (
    select
        entry_id,
        customer_id,
        entered_at,
        {{ local_date("entered_at") }} as entered_on,
        coalesce(reason, 'unknown') as reason,
        cast(round(points) as bigint) as points,
        case when points > 0 then expires_on end as expires_on,
        'crm' as origin,
        cast(null as varchar) as campaign,
        cast(null as double) as factor
    from crm
    where
        '{{ ledger }}' = 'crm'
        or ('{{ ledger }}' = 'computed' and points < 0 and reason is distinct from 'expire')
    union all
    select * from computed
    where points > 0
)

select * from final
