-- What the value model is fitted to: order days, and how many of them the holdout does not see.
set variable calibrated_until = (
    select getvariable('today') - 1 - coalesce(round(
        (getvariable('today') - 1 - quantile_disc(first_order_on, 0.01)) * 0.25
    ), 0)::integer
    from orders_by_customer
    where orders_total > 0
);

create temp table histories as
with calibrated as (
    select
        *,
        list_unique(order_days)::integer - 1 as repeats,
        list_filter(order_days, lambda day: day <= getvariable('calibrated_until')) as earlier,
        if(len(earlier) > 0, list_unique(earlier)::integer - 1, null) as calibration_repeats
    from orders_by_customer
    where customer_id is not null and orders_total > 0
)
select
    customer_id,
    repeats,
    last_order_on - first_order_on as recency_days,
    greatest(getvariable('today') - 1, last_order_on) - first_order_on as age_days,
    spend_total,
    spend_long,
    (spend_total - first_spend)::double / nullif(repeats, 0) as mean_repeat_spend,
    calibration_repeats,
    list_max(earlier) - first_order_on as calibration_recency_days,
    if(calibration_repeats is null, null, getvariable('calibrated_until') - first_order_on)
        as calibration_age_days,
    repeats - calibration_repeats as holdout_orders
from calibrated;

create temp table regularity as
with sampled as (
    select customer_id
    from histories
    where repeats >= 3
    order by md5(customer_id), customer_id
    limit 2000
),
days as (
    select customer_id, unnest(list_distinct(order_days)) as day
    from orders_by_customer
    semi join sampled using (customer_id)
),
intervals as (
    select customer_id, day - lag(day) over (partition by customer_id order by day) as days
    from days
),
variations as (
    select
        sqrt(greatest(count(days) * sum(days * days) - sum(days) * sum(days), 0)) / sum(days)::double
            as variation
    from intervals
    where days is not null
    group by customer_id
)
select
    count(*)::integer as sampled_customers,
    round(median(variation), 7) as interval_variation
from variations;
alter table orders_by_customer drop column order_days;
