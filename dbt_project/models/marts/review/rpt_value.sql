with

periods as (
    select * from {{ ref("int_kpi_periods") }}
    where period_type in ('month', 'quarter')
),

standings as (
    select * from {{ ref("int_kpi_standings") }}
),

firsts as (
    select
        customer_id,
        first_order_at
    from {{ ref("int_customer_orders") }}
    where first_order_at is not null
),

orders as (
    select
        customer_id,
        {{ period_start("month", local_date("ordered_at")) }} as month_start,
        count(*) as orders,
        sum(coalesce(amount_program, 0)) as spend
    from {{ ref("int_orders") }}
    where
        is_counted
        and customer_id is not null
        and ordered_at >= (select min(periods.starts_at) from periods)
    group by customer_id, month_start
),

-- Months first: ten million orders are grouped once.
by_customer as (
    select
        'month' as period_type,
        month_start as period_start,
        customer_id,
        orders,
        spend
    from orders
    union all
    select
        'quarter' as period_type,
        {{ period_start("quarter", "month_start") }} as period_start,
        customer_id,
        sum(orders) as orders,
        sum(spend) as spend
    from orders
    group by period_start, customer_id
),

in_periods as (
    select
        periods.starts_at,
        periods.is_over,
        by_customer.*
    from by_customer
    inner join periods
        on
            by_customer.period_type = periods.period_type
            and by_customer.period_start = periods.period_start
),

placed as (
    select
        in_periods.*,
        coalesce(standings.segment, '(unknown)') as segment,
        firsts.first_order_at >= in_periods.starts_at as is_new
    from in_periods
    inner join firsts on in_periods.customer_id = firsts.customer_id
    left join standings
        on
            in_periods.customer_id = standings.customer_id
            and coalesce(in_periods.starts_at >= standings.valid_from, true)
            and coalesce(in_periods.starts_at < standings.valid_until, true)
),

counted as (
    select
        period_type,
        period_start,
        is_over,
        segment,
        count(*) as buyers,
        count(*) filter (where is_new) as new_buyers,
        sum(orders) as orders,
        sum(spend) as spend,
        coalesce(sum(spend) filter (where not is_new), 0) as spend_known
    from placed
    group by period_type, period_start, is_over, segment
),

final as (
    select
        period_type,
        period_start,
        segment,
        is_over,
        cast(buyers as bigint) as buyers,
        cast(new_buyers as bigint) as new_buyers,
        cast(orders as bigint) as orders,
        cast(spend as decimal(38, 4)) as spend,
        cast(spend_known as decimal(38, 4)) as spend_known,
        spend / cast(nullif(sum(spend) over (partition by period_type, period_start), 0) as double)
            as spend_share
    from counted
)

select * from final
