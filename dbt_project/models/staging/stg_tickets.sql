{%- set as_of = as_of_utc() -%}

with

tickets as (
    select * from {{ source("raw", "tickets") }}
),

final as (
    select
        ticket_id,
        customer_id,
        order_id,
        opened_at,
        channel,
        touchpoint,
        kind,
        category,
        urgency,
        is_complex,
        department,
        owner_id,
        {{ seen("automatic_response_at", as_of) }} as automatic_response_at,
        {{ seen("acknowledged_at", as_of) }} as acknowledged_at,
        {{ seen("handed_over_at", as_of) }} as handed_over_at,
        {{ seen("first_response_at", as_of) }} as first_response_at,
        {{ seen("resolved_at", as_of) }} as resolved_at,
        {{ seen("closed_at", as_of) }} as closed_at,
        coalesce(resolved_at > {{ as_of }}, true) and coalesce(closed_at > {{ as_of }}, true)
            as is_open,
        reopened_count,
        case when resolved_at <= {{ as_of }} then resolution end as resolution,
        case when resolved_at <= {{ as_of }} then confirmation end as confirmation,
        {{ seen("archived_at", as_of) }} as archived_at
    from tickets
    where opened_at <= {{ as_of }}
)

select * from final
