with

changes as (
    select * from {{ ref("fct_customer_changes") }}
    where dimension in ('segment', 'stage')
),

monthly as (
    select
        customer_id,
        dimension,
        {{ period_start("month", "changed_on") }} as month_start,
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
