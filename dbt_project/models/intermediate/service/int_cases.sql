with

tickets as (
    select * from {{ ref("stg_tickets") }}
),

targets as (
    select * from {{ ref("int_sla_targets") }}
),

-- By when a ticket is to be solved: as its clock for the solution says, else the one for its end.
clocks as (
    select
        clocks.case_id as ticket_id,
        clocks.due_at,
        clocks.state
    from {{ ref("int_clocks") }} as clocks
    inner join targets on clocks.target_key = targets.target_key
    where clocks.case_kind = 'ticket' and targets.stops in ('solved', 'closed')
    qualify row_number() over (
        partition by clocks.case_id
        order by targets.stops desc, clocks.started_at asc, clocks.target_key asc
    ) = 1
),

outcomes as (
    select * from {{ ref("int_ticket_outcomes") }}
),

answers as (
    select * from {{ ref("int_ticket_answers") }}
),

low_scores as (
    select * from {{ ref("int_low_scores") }}
),

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
),

customers as (
    select * from {{ ref("stg_customers") }}
),

-- What came after a low score: the first contact by a person, and the first ticket.
contacts as (
    select
        low_scores.response_id,
        {{ first_row({
            "done_at": "follow_ups.done_at",
            "follow_up_id": "follow_ups.follow_up_id",
            "owner_id": "coalesce(follow_ups.owner_id, follow_ups.staff_id)",
        }) }} as contact
    from low_scores
    inner join follow_ups
        on
            low_scores.customer_id = follow_ups.customer_id
            and low_scores.opened_at <= follow_ups.done_at
    where follow_ups.ticket_id is null
    group by low_scores.response_id
),

next_tickets as (
    select
        low_scores.response_id,
        {{ first_row({
            "opened_at": "tickets.opened_at",
            "ticket_id": "tickets.ticket_id",
            "solved_at": "outcomes.solved_at",
            "owner_id": "tickets.owner_id",
            "department": "tickets.department",
        }) }} as ticket
    from low_scores
    inner join tickets
        on
            low_scores.customer_id = tickets.customer_id
            and low_scores.opened_at <= tickets.opened_at
    inner join outcomes on tickets.ticket_id = outcomes.ticket_id
    where tickets.opened_at <= {{ plus_repeat_days("low_scores.opened_at") }}
    group by low_scores.response_id
),

ticket_cases as (
    select
        tickets.ticket_id as case_id,
        'ticket' as case_kind,
        tickets.ticket_id,
        cast(null as varchar) as response_id,
        tickets.customer_id,
        tickets.order_id,
        tickets.opened_at,
        tickets.kind,
        tickets.category,
        tickets.touchpoint,
        tickets.channel,
        tickets.urgency,
        tickets.is_complex,
        tickets.department,
        tickets.owner_id,
        case
            when {{ is_recorded_only("tickets.urgency") }} then null
            when clocks.ticket_id is not null then clocks.due_at
            else tickets.opened_at + interval '{{ loop_seconds("due_default") }}' second
        end as due_at,
        clocks.state as clock_state,
        outcomes.solved_at is not null as is_resolved,
        outcomes.solved_at as resolved_at,
        case when outcomes.solved_at is not null then tickets.resolution end as resolution,
        case when outcomes.solved_at is not null then tickets.confirmation end as confirmation,
        answers.satisfaction,
        coalesce(
            outcomes.solved_at is not null
            and (tickets.confirmation = 'dissatisfied' or answers.low_answered_at is not null),
            false
        ) as is_dissatisfied,
        cast(null as varchar) as survey_kind,
        cast(null as double) as score_share,
        cast(null as varchar) as carried_on_ticket_id,
        tickets.acknowledged_at,
        tickets.first_response_at,
        outcomes.first_solved_at,
        outcomes.last_reopened_at,
        outcomes.last_event_at,
        case when outcomes.solved_at is not null then tickets.archived_at end as archived_at,
        answers.asked_at as survey_asked_at,
        answers.answered_at as survey_answered_at,
        answers.low_answered_at,
        coalesce(answers.low_was_treated, false) as low_was_treated
    from tickets
    inner join outcomes on tickets.ticket_id = outcomes.ticket_id
    left join answers on tickets.ticket_id = answers.ticket_id
    left join clocks on tickets.ticket_id = clocks.ticket_id
),

low_score_cases as (
    select
        'survey:' || low_scores.response_id as case_id,
        'low_score' as case_kind,
        cast(null as varchar) as ticket_id,
        low_scores.response_id,
        low_scores.customer_id,
        low_scores.order_id,
        low_scores.opened_at,
        'low_score' as kind,
        low_scores.aspect as category,
        low_scores.touchpoint,
        low_scores.channel,
        low_scores.urgency,
        cast(null as boolean) as is_complex,
        {{ field_of("next_tickets.ticket", "department") }} as department,
        coalesce(
            {{ field_of("contacts.contact", "owner_id") }},
            {{ field_of("next_tickets.ticket", "owner_id") }},
            case when low_scores.who = 'account_manager' then customers.account_manager_id end
        ) as owner_id,
        low_scores.due_at,
        cast(null as varchar) as clock_state,
        low_scores.has_outcome
        or {{ field_of("contacts.contact", "done_at") }} is not null
        or {{ field_of("next_tickets.ticket", "solved_at") }} is not null as is_resolved,
        least(
            {{ field_of("contacts.contact", "done_at") }},
            {{ field_of("next_tickets.ticket", "solved_at") }}
        ) as resolved_at,
        cast(null as varchar) as resolution,
        cast(null as varchar) as confirmation,
        low_scores.satisfaction,
        true as is_dissatisfied,
        low_scores.survey_kind,
        low_scores.score_share,
        {{ field_of("next_tickets.ticket", "ticket_id") }} as carried_on_ticket_id,
        cast(null as timestamp) as acknowledged_at,
        cast(null as timestamp) as first_response_at,
        cast(null as timestamp) as first_solved_at,
        cast(null as timestamp) as last_reopened_at,
        cast(null as timestamp) as last_event_at,
        cast(null as timestamp) as archived_at,
        cast(null as timestamp) as survey_asked_at,
        cast(null as timestamp) as survey_answered_at,
        cast(null as timestamp) as low_answered_at,
        false as low_was_treated
    from low_scores
    left join contacts on low_scores.response_id = contacts.response_id
    left join next_tickets on low_scores.response_id = next_tickets.response_id
    left join customers on low_scores.customer_id = customers.customer_id
),

final as (
    select * from ticket_cases
    union all
    select * from low_score_cases
)

select * from final
