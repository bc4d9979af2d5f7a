{%- set as_of = as_of_utc() -%}

with

interactions as (
    select * from {{ source("raw", "interactions") }}
),

final as (
    select
        interaction_id,
        customer_id,
        occurred_at,
        channel,
        kind,
        product_id,
        dwell_seconds
    from interactions
    where occurred_at <= {{ as_of }}
)

select * from final
