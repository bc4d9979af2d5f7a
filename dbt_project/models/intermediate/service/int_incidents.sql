with

incident_tickets as (
    select * from {{ ref("int_incident_tickets") }}
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

ticket_events as (
    select * from {{ ref("stg_ticket_events") }}
),

concerned as (
    select
        incident_tickets.*,
        tickets.customer_id,
        tickets.department,
        tickets.acknowledged_at,
        tickets.first_response_at
    from incident_tickets
    inner join tickets on incident_tickets.ticket_id = tickets.ticket_id
),

by_department as (
    select
        incident_id,
        department
    from concerned
    where department is not null
    group by incident_id, department
    qualify row_number() over (
        partition by incident_id
        order by count(*) desc, department asc
    ) = 1
),

-- What a person did about one of its tickets.
worked_on as (
    select
        incident_id,
        began_at,
        acknowledged_at as worked_at
    from concerned
    union all
    select
        incident_id,
        began_at,
        first_response_at as worked_at
    from concerned
    union all
    select
        concerned.incident_id,
        concerned.began_at,
        ticket_events.began_at as worked_at
    from concerned
    inner join ticket_events on concerned.ticket_id = ticket_events.ticket_id
    where ticket_events.actor_id is not null
),

started as (
    select
        incident_id,
        min(worked_at) as started_at
    from worked_on
    where worked_at >= began_at
    group by incident_id
),

counted as (
    select
        incident_id,
        began_at,
        last_ticket_at,
        min(opened_at) as first_ticket_at,
        count(*) as tickets,
        count(distinct customer_id) as customers
    from concerned
    group by incident_id, began_at, last_ticket_at
),

dated as (
    select
        *,
        {{ care_later("began_at", "emergency.respond_within") }} as start_due_at,
        {{ care_later("last_ticket_at", "emergency.in_window") }} as quiet_at
    from counted
),

final as (
    select
        dated.incident_id,
        dated.first_ticket_at,
        dated.began_at,
        dated.last_ticket_at,
        case when dated.quiet_at < {{ as_of_utc() }} then dated.quiet_at end as over_at,
        dated.tickets,
        dated.customers,
        by_department.department,
        started.started_at,
        dated.start_due_at
    from dated
    left join by_department on dated.incident_id = by_department.incident_id
    left join started on dated.incident_id = started.incident_id
)

select * from final
