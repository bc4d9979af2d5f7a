with

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

observed as (
    -- One in a hundred may have a first order in a year that nobody meant.
    select quantile_disc({{ local_date("first_order_at") }}, 0.01) as observed_from_on
    from customer_orders
    where orders_total > 0
),

held as (
    select
        observed_from_on,
        cast(round(
            {{ days_since("observed_from_on") }} * {{ setting("value.holdout_share", "double") }}
        ) as integer) as holdout_days
    from observed
),

final as (
    select
        observed_from_on,
        {{ as_of_date() }} - coalesce(holdout_days, 0) as calibration_end_on,
        coalesce(holdout_days, 0) as holdout_days
    from held
)

select * from final
