with

tickets as (
    select * from {{ ref("stg_tickets") }}
),

final as (
    select
        ticket_id,
        customer_id,
        order_id,
        opened_at,
        {{ local_date("opened_at") }} as opened_on,
        channel,
        touchpoint,
        kind,
        category,
        urgency,
        is_complex,
        department,
        owner_id,
        acknowledged_at,
        first_response_at,
        resolved_at,
        closed_at,
        archived_at,
        is_open,
        cast({{ seconds_between("opened_at", "first_response_at") }} / 3600 as decimal(9, 2))
            as response_hours,
        cast({{ seconds_between("opened_at", "resolved_at") }} / 3600 as decimal(9, 2))
            as resolution_hours,
        reopened_count,
        confirmation
    from tickets
)

select * from final
