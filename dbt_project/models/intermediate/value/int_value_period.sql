with

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

observed as (
    -- One in a hundred may have a first order in a year that nobody meant. A run at midnight has
    -- not seen its own day.
    select
        quantile_disc({{ local_date("first_order_at") }}, 0.01) as observed_from_on,
        {{ local_date(as_of_utc() ~ " - interval 1 second") }} as observed_until_on
    from customer_orders
    where orders_total > 0
),

held as (
    select
        *,
        cast(coalesce(round(
            {{ days_between("observed_from_on", "observed_until_on") }}
            * {{ setting("value.holdout_share", "double") }}
        ), 0) as integer) as holdout_days
    from observed
),

final as (
    select
        observed_from_on,
        observed_until_on,
        observed_until_on - holdout_days as calibration_end_on,
        holdout_days
    from held
)

select * from final
