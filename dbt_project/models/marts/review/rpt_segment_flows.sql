{#- What a run finds as a day begins came of the days before: a change found at the first moment of
    a quarter belongs to the quarter that has just ended. #}
with

recorded as (
    select
        customer_id,
        dimension,
        from_value,
        to_value,
        {{ last_day_seen("as_of") }} as moved_on,
        as_of
    from {{ ref("fct_customer_changes") }}
    where dimension in ('segment', 'stage')
),

erasures as (
    select * from {{ source("run", "erasures") }}
    where erased_at <= {{ as_of_utc() }}
),

-- Who is erased stays in the data under a pseudonym, but in no segment of the balance.
changes as (
    select
        recorded.customer_id,
        recorded.dimension,
        case
            when recorded.as_of >= erasures.erased_at and recorded.from_value is not null
                then '(erased)'
            else recorded.from_value
        end as from_value,
        case
            when recorded.as_of >= erasures.erased_at and recorded.to_value is not null
                then '(erased)'
            else recorded.to_value
        end as to_value,
        recorded.moved_on,
        recorded.as_of
    from recorded
    left join erasures on recorded.customer_id = erasures.customer_id
    where
        erasures.customer_id is null
        or recorded.as_of < erasures.erased_at
        or recorded.from_value is null
        or recorded.to_value is null
    union all
    select
        recorded.customer_id,
        recorded.dimension,
        nullif({{ latest("coalesce(recorded.to_value, '(gone)')", "recorded.as_of") }}, '(gone)')
            as from_value,
        '(erased)' as to_value,
        {{ local_date("erasures.erased_at") }} as moved_on,
        erasures.erased_at as as_of
    from recorded
    inner join erasures
        on
            recorded.customer_id = erasures.customer_id
            and recorded.as_of < erasures.erased_at
    group by recorded.customer_id, recorded.dimension, erasures.erased_at
    having {{ latest("coalesce(recorded.to_value, '(gone)')", "recorded.as_of") }} <> '(gone)'
),

monthly as (
    select
        customer_id,
        dimension,
        {{ period_start("month", "moved_on") }} as month_start,
        min(as_of) as first_change,
        max(as_of) as last_change,
        {{ earliest("coalesce(from_value, '(entered)')", "as_of") }} as from_value,
        {{ latest("coalesce(to_value, '(gone)')", "as_of") }} as to_value
    from changes
    group by customer_id, dimension, month_start
),

quarterly as (
    select
        customer_id,
        dimension,
        {{ period_start("quarter", "month_start") }} as quarter_start,
        {{ earliest("from_value", "first_change") }} as from_value,
        {{ latest("to_value", "last_change") }} as to_value
    from monthly
    group by customer_id, dimension, quarter_start
),

moves as (
    select
        'month' as period_type,
        month_start as period_start,
        dimension,
        from_value,
        to_value
    from monthly
    union all
    select
        'quarter' as period_type,
        quarter_start as period_start,
        dimension,
        from_value,
        to_value
    from quarterly
),

final as (
    select
        period_type,
        period_start,
        dimension,
        from_value,
        to_value,
        count(*) as customers
    from moves
    where
        -- Moved away and back within the period, or came and went: no movement of the period.
        from_value <> to_value
        and not (from_value = '(entered)' and to_value = '(gone)')
    group by period_type, period_start, dimension, from_value, to_value
)

select * from final
