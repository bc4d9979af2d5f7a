{#- Three intervals are the fewest that have a spread worth the name. -#}
with

histories as (
    select * from {{ ref("int_purchase_histories") }}
),

orders as (
    select * from {{ ref("int_orders") }}
),

sampled as (
    select
        customer_id,
        repeats,
        recency_days
    from histories
    where repeats >= 3
    -- The same customers on every run and machine.
    order by md5(customer_id), customer_id
    limit {{ setting("value.applies.max_sampled_customers", "integer") }}
),

purchase_days as (
    select distinct
        orders.customer_id,
        {{ local_date("orders.ordered_at") }} as ordered_on
    from orders
    inner join sampled on orders.customer_id = sampled.customer_id
    where orders.is_counted
),

intervals as (
    select
        customer_id,
        {{ days_between(
            "lag(ordered_on) over (partition by customer_id order by ordered_on)", "ordered_on"
        ) }} as days
    from purchase_days
),

variations as (
    -- Whole days add up exactly in any order.
    select
        customer_id,
        sqrt(greatest(count(days) * sum(days * days) - sum(days) * sum(days), 0))
        / cast(sum(days) as double) as variation
    from intervals
    where days is not null
    group by customer_id
),

final as (
    select
        cast(count(*) as integer) as sampled_customers,
        round(median(variation), 7) as interval_variation
    from variations
)

select * from final
