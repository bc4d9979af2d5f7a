with

tickets as (
    select * from {{ ref("stg_tickets") }}
),

outcomes as (
    select * from {{ ref("int_ticket_outcomes") }}
),

final as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        tickets.order_id,
        tickets.opened_at,
        {{ local_date("tickets.opened_at") }} as opened_on,
        tickets.channel,
        tickets.touchpoint,
        tickets.kind,
        tickets.category,
        tickets.urgency,
        tickets.is_complex,
        tickets.department,
        tickets.owner_id,
        tickets.acknowledged_at,
        tickets.first_response_at,
        tickets.resolved_at,
        tickets.closed_at,
        tickets.archived_at,
        tickets.is_open,
        cast(
            {{ seconds_between("tickets.opened_at", "tickets.first_response_at") }} / 3600
            as decimal(9, 2)
        ) as response_hours,
        cast(
            {{ seconds_between("tickets.opened_at", "tickets.resolved_at") }} / 3600
            as decimal(9, 2)
        ) as resolution_hours,
        tickets.reopened_count,
        tickets.confirmation,
        outcomes.is_first_contact_resolved,
        outcomes.is_reopened,
        {{ local_date("outcomes.first_reopened_at") }} as first_reopened_on,
        {{ local_date("outcomes.last_reopened_at") }} as last_reopened_on,
        outcomes.is_repeat,
        outcomes.repeats_ticket_id,
        outcomes.days_since_previous,
        outcomes.is_repeated
    from tickets
    inner join outcomes on tickets.ticket_id = outcomes.ticket_id
)

select * from final
