{%- set as_of = as_of_utc() -%}

with

exposures as (
    select * from {{ source("raw", "exposures") }}
),

final as (
    select
        exposure_id,
        experiment,
        customer_id,
        arm,
        exposed_at,
        period,
        holdout_share,
        conversion_event,
        window_days
    from exposures
    where exposed_at <= {{ as_of }}
)

select * from final
