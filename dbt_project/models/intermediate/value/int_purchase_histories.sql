{%- set long_start = as_of_date() ~ " - " ~ setting("profile.windows.long_days", "integer") -%}

with

orders as (
    select * from {{ ref("int_orders") }}
),

period as (
    select * from {{ ref("int_value_period") }}
),

purchase_days as (
    select
        customer_id,
        {{ local_date("ordered_at") }} as ordered_on,
        coalesce(sum(amount_program), 0) as spend
    from orders
    where is_counted and customer_id is not null
    group by customer_id, ordered_on
),

churn_period as (
    select * from {{ ref("int_churn_period") }}
),

dated as (
    select
        purchase_days.*,
        purchase_days.ordered_on <= period.calibration_end_on as is_calibration,
        period.calibration_end_on,
        period.observed_until_on,
        churn_period.cutoff_on
    from purchase_days
    cross join period
    cross join churn_period
),

histories as (
    select
        customer_id,
        count(*) - 1 as repeats,
        min(ordered_on) as first_order_on,
        max(ordered_on) as last_order_on,
        sum(spend) as spend_total,
        coalesce(sum(spend) filter (where ordered_on >= {{ long_start }}), 0) as spend_long,
        {{ earliest("spend", "ordered_on") }} as first_spend,
        count(*) filter (where is_calibration) - 1 as calibration_repeats,
        max(ordered_on) filter (where is_calibration) as calibration_last_on,
        any_value(calibration_end_on) as calibration_end_on,
        any_value(observed_until_on) as observed_until_on,
        count(*) filter (where ordered_on < cutoff_on) as cutoff_order_days,
        max(ordered_on) filter (where ordered_on < cutoff_on) as cutoff_last_order_on,
        coalesce(sum(spend) filter (where ordered_on < cutoff_on), 0) as cutoff_spend
    from dated
    group by customer_id
),

final as (
    select
        customer_id,
        cast(repeats as integer) as repeats,
        first_order_on,
        last_order_on,
        cast({{ days_between("first_order_on", "last_order_on") }} as integer) as recency_days,
        cast({{ days_between(
            "first_order_on", "greatest(observed_until_on, last_order_on)"
        ) }} as integer) as age_days,
        cast(spend_total as decimal(18, 4)) as spend_total,
        cast(spend_long as decimal(18, 4)) as spend_long,
        cast(spend_total - first_spend as double) / nullif(repeats, 0) as mean_repeat_spend,
        case when calibration_repeats >= 0 then cast(calibration_repeats as integer) end
            as calibration_repeats,
        cast({{ days_between("first_order_on", "calibration_last_on") }} as integer)
            as calibration_recency_days,
        case
            when calibration_repeats >= 0
                then cast({{ days_between("first_order_on", "calibration_end_on") }} as integer)
        end as calibration_age_days,
        case
            when calibration_repeats >= 0 then cast(repeats - calibration_repeats as integer)
        end as holdout_orders,
        cast(cutoff_order_days as integer) as cutoff_order_days,
        cutoff_last_order_on,
        cast(cutoff_spend as decimal(18, 4)) as cutoff_spend
    from histories
)

select * from final
