{%- set this_month = period_start("month", as_of_date()) -%}

with

orders as (
    select
        customer_id,
        {{ period_start("month", local_date("ordered_at")) }} as month_start
    from {{ ref("int_orders") }}
    where is_counted and customer_id is not null
),

firsts as (
    select
        customer_id,
        {{ period_start("month", local_date("first_order_at")) }} as cohort_month
    from {{ ref("int_customer_orders") }}
    where first_order_at is not null and customer_id is not null
),

bought as (
    select
        orders.customer_id,
        firsts.cohort_month,
        orders.month_start
    from orders
    inner join firsts on orders.customer_id = firsts.customer_id
    group by orders.customer_id, firsts.cohort_month, orders.month_start
),

counted as (
    select
        cohort_month,
        month_start,
        count(*) as retained
    from bought
    group by cohort_month, month_start
),

returns as (
    select
        cohort_month,
        month_start,
        count(*) as first_returns
    from (
        select
            customer_id,
            cohort_month,
            min(month_start) as month_start
        from bought
        where month_start > cohort_month
        group by customer_id, cohort_month
    ) as second_months
    group by cohort_month, month_start
),

sizes as (
    select
        cohort_month,
        count(*) as customers
    from firsts
    group by cohort_month
),

months as (
    select distinct month_start
    from {{ ref("dim_calendar") }}
    where month_start <= {{ this_month }}
),

grid as (
    select
        sizes.cohort_month,
        sizes.customers,
        months.month_start,
        {{ months_between("sizes.cohort_month", "months.month_start") }} as months_since,
        coalesce(counted.retained, 0) as retained,
        sum(coalesce(returns.first_returns, 0)) over (
            partition by sizes.cohort_month
            order by months.month_start
            rows between unbounded preceding and current row
        ) as returned
    from sizes
    inner join months on sizes.cohort_month <= months.month_start
    left join counted
        on sizes.cohort_month = counted.cohort_month and months.month_start = counted.month_start
    left join returns
        on sizes.cohort_month = returns.cohort_month and months.month_start = returns.month_start
),

final as (
    select
        cohort_month,
        cast(months_since as integer) as months_since,
        month_start,
        cast(customers as bigint) as customers,
        cast(retained as bigint) as retained,
        retained / cast(customers as double) as retention,
        cast(returned as bigint) as returned,
        returned / cast(customers as double) as returned_share,
        month_start < {{ this_month }} as is_complete
    from grid
)

select * from final
