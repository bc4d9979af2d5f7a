{%- set as_of = as_of_utc() -%}

with

surveys as (
    select * from {{ source("raw", "surveys") }}
),

final as (
    select
        response_id,
        customer_id,
        kind,
        aspect,
        scale_min,
        scale_max,
        case when answered_at <= {{ as_of }} then score end as score,
        asked_at,
        {{ seen("answered_at", as_of) }} as answered_at,
        method,
        outcome,
        ticket_id,
        order_id
    from surveys
    where coalesce(asked_at, answered_at) <= {{ as_of }}
)

select * from final
