-- What the value model is fitted to: order days, and how many of them the holdout does not see.
set variable calibrated_until = (
    select getvariable('today') - 1 - coalesce(round(
        (getvariable('today') - 1 - quantile_disc(first_order_on, 0.01)) * 0.25
    ), 0)::integer
    from orders_by_customer
    where orders_total > 0
);

create temp table histories as
with calibration as (
    select
        customer_id,
        (count(*) - 1)::integer as calibration_repeats,
        max(ordered_on) as last_on
    from orders_by_day
    where orders > 0 and ordered_on <= getvariable('calibrated_until')
    group by customer_id
)
select
    customer_id,
    repeats::integer as repeats,
    last_order_on - first_order_on as recency_days,
    greatest(getvariable('today') - 1, last_order_on) - first_order_on as age_days,
    spend_total,
    spend_long,
    (spend_total - first_spend)::double / nullif(repeats, 0) as mean_repeat_spend,
    calibration_repeats,
    last_on - first_order_on as calibration_recency_days,
    if(calibration_repeats is null, null, getvariable('calibrated_until') - first_order_on)
        as calibration_age_days,
    (repeats - calibration_repeats)::integer as holdout_orders
from orders_by_customer
left join calibration using (customer_id)
where customer_id is not null and orders_total > 0;

create temp table regularity as
with sampled as (
    select customer_id
    from histories
    where repeats >= 3
    order by md5(customer_id), customer_id
    limit 2000
),
intervals as (
    select
        customer_id,
        ordered_on - lag(ordered_on) over (partition by customer_id order by ordered_on) as days
    from orders_by_day
    semi join sampled using (customer_id)
    where orders > 0
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
drop table orders_by_day;
