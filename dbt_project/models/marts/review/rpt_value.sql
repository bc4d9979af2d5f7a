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
        and ordered_at >= (select min(starts_at) from periods)
    group by customer_id, month_start
),

-- Months first: ten million orders are grouped once.
by_customer as (
    select
        periods.period_type,
        periods.period_start,
        periods.starts_at,
        periods.ends_at,
        periods.is_over,
        orders.customer_id,
        sum(orders.orders) as orders,
        sum(orders.spend) as spend
    from orders
    inner join periods
        on periods.period_start = case periods.period_type
            when 'month' then orders.month_start
            else {{ period_start("quarter", "orders.month_start") }}
        end
    group by
        periods.period_type,
        periods.period_start,
        periods.starts_at,
        periods.ends_at,
        periods.is_over,
        orders.customer_id
),

placed as (
    select
        by_customer.*,
        coalesce(standings.segment, '(unknown)') as segment,
        firsts.first_order_at >= by_customer.starts_at as is_new
    from by_customer
    inner join firsts on by_customer.customer_id = firsts.customer_id
    left join standings
        on
            by_customer.customer_id = standings.customer_id
            and coalesce(standings.valid_from <= by_customer.starts_at, true)
            and coalesce(standings.valid_until > by_customer.starts_at, true)
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
