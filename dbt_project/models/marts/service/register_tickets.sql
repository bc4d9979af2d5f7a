{%- set kept = keeps_register("tickets") -%}

with

tickets as (
    select * from {{ ref("stg_tickets") }}
    where {{ kept }}
),

ticket_events as (
    select * from {{ ref("stg_ticket_events") }}
    where {{ kept }}
),

ticket_types as (
    select * from {{ source("program", "ticket_types") }}
),

-- Of two at the same moment the one further on counts.
ranked as (
    select
        ticket_events.ticket_id,
        ticket_events.began_at,
        ticket_events.status,
        case ticket_events.status
            when 'open' then 1
            when 'pending' then 2
            when 'on_hold' then 3
            when 'solved' then 4
            when 'closed' then 5
        end as status_no
    from ticket_events
    inner join tickets on ticket_events.ticket_id = tickets.ticket_id
    where
        ticket_events.began_at
        >= coalesce(tickets.closed_at, tickets.resolved_at, tickets.opened_at)
),

last_events as (
    select
        ticket_id,
        {{ last_row({"began_at": "began_at", "status_no": "status_no", "status": "status"}) }}
            as last_event
    from ranked
    group by ticket_id
),

final as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        ticket_types.id as {{ quoted("type") }},
        tickets.opened_at as submitted,
        tickets.first_response_at as responded,
        tickets.owner_id as owner,
        coalesce(
            {{ field_of("last_events.last_event", "status") }},
            case
                when tickets.closed_at is not null then 'closed'
                when tickets.resolved_at is not null then 'solved'
                else 'open'
            end
        ) as progress,
        tickets.confirmation,
        tickets.archived_at as archived
    from tickets
    left join last_events on tickets.ticket_id = last_events.ticket_id
    left join ticket_types
        on
            tickets.category = ticket_types.id
            or ', ' || ticket_types.categories || ', ' like '%, ' || tickets.category || ', %'
)

select * from final
