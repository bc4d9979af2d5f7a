{%- set timed_steps = [
    "acknowledged", "answered", "solved", "called_back", "result_told", "confirmed", "archived",
] -%}
{%- set lapse_days = setting_text("closed_loop.lapse_days") -%}

with

cases as (
    select * from {{ ref("int_cases") }}
),

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
    where done_at is not null
),

surveys as (
    select * from {{ ref("stg_surveys") }}
),

message_states as (
    select * from {{ ref("int_care_message_states") }}
    where sent_at is not null
),

ledger_messages as (
    select * from {{ source("ledger", "messages") }}
),

-- What this company records at all: a step nobody can see is not asked for.
recorded as (
    select
        count(case when case_kind = 'ticket' then owner_id end) > 0 as has_owners,
        count(first_response_at) > 0 as has_answers,
        count(archived_at) > 0 as has_archive,
        (select count(*) from follow_ups) > 0 as has_calls,
        (select count(*) from surveys) + (select count(*) from message_states) > 0 as has_surveys,
        count(confirmation) + count(survey_answered_at) > 0 as has_confirmations
    from cases
),

contacts as (
    select
        cases.case_id,
        min(case when follow_ups.done_at >= cases.resolved_at then follow_ups.done_at end)
            as called_back_at,
        max(follow_ups.done_at) as last_contact_at
    from follow_ups
    inner join cases on follow_ups.ticket_id = cases.case_id
    where cases.resolved_at is not null
    group by cases.case_id
),

-- Follow-ups that name no ticket: the customer's first call after the solution.
calls as (
    select
        cases.case_id,
        min(follow_ups.done_at) as called_at
    from follow_ups
    inner join cases on follow_ups.customer_id = cases.customer_id
    where
        follow_ups.ticket_id is null
        and follow_ups.method = 'call'
        and follow_ups.done_at >= cases.resolved_at
        and cases.case_kind = 'ticket'
    group by cases.case_id
),

-- Own messages about a ticket: their occasion is event:ticket, or event:ticket:day of solution.
own_messages as (
    select
        case
            when ledger_messages.occasion like 'ticket_solved:%'
                then substr(ledger_messages.occasion, 15, length(ledger_messages.occasion) - 25)
            else substr(ledger_messages.occasion, 15)
        end as ticket_id,
        ledger_messages.occasion like 'ticket_solved:%' as is_about_solution,
        message_states.sent_at
    from message_states
    inner join ledger_messages on message_states.message_id = ledger_messages.message_id
    where
        ledger_messages.occasion like 'ticket_solved:%'
        or ledger_messages.occasion like 'ticket_opened:%'
),

messages as (
    select
        own_messages.ticket_id,
        min(case when not own_messages.is_about_solution then own_messages.sent_at end)
            as acknowledged_at,
        min(case
            when own_messages.is_about_solution and own_messages.sent_at >= cases.resolved_at
                then own_messages.sent_at
        end) as told_at
    from own_messages
    inner join cases on own_messages.ticket_id = cases.case_id
    group by own_messages.ticket_id
),

facts as (
    select
        cases.case_id,
        cases.case_kind,
        cases.case_kind = 'ticket' as is_ticket,
        {{ is_recorded_only("cases.urgency") }} as is_recorded_only,
        cases.ticket_id,
        cases.response_id,
        cases.carried_on_ticket_id,
        cases.customer_id,
        cases.order_id,
        cases.opened_at,
        cases.kind,
        cases.category,
        cases.touchpoint,
        cases.channel,
        cases.urgency,
        cases.department,
        cases.owner_id,
        cases.survey_kind,
        cases.due_at,
        cases.clock_state,
        cases.is_resolved,
        cases.resolved_at as solved_at,
        cases.resolution,
        cases.confirmation,
        cases.is_dissatisfied,
        cases.satisfaction,
        cases.last_reopened_at,
        cases.last_event_at,
        cases.archived_at,
        cases.survey_answered_at,
        cases.low_was_treated,
        least(
            cases.acknowledged_at,
            messages.acknowledged_at,
            cases.first_response_at,
            cases.first_solved_at
        ) as acknowledged_at,
        least(cases.first_response_at, cases.first_solved_at) as answered_at,
        coalesce(contacts.called_back_at, calls.called_at) as called_back_at,
        least(cases.survey_asked_at, messages.told_at) as result_told_at,
        case
            when contacts.last_contact_at > cases.low_answered_at then contacts.last_contact_at
        end as treated_at
    from cases
    left join contacts on cases.case_id = contacts.case_id
    left join calls on cases.case_id = calls.case_id
    left join messages on cases.case_id = messages.ticket_id
),

confirmed as (
    select
        *,
        coalesce(confirmation, '') <> 'dissatisfied'
        and (confirmation is not null or survey_answered_at is not null)
        and (not is_dissatisfied or low_was_treated or treated_at is not null) as is_confirmed,
        case
            when confirmation = 'dissatisfied' then null
            when not is_dissatisfied then survey_answered_at
            else treated_at
        end as confirmed_at
    from facts
),

placed as (
    select
        *,
        {{ loop_floor() }} as overtaken_place
    from confirmed
),

walked as (
    select
        placed.*,
        {%- for step in timed_steps %}
        {{ loop_on_time(step) }} as {{ step }}_on_time,
        {%- endfor %}
        {{ loop_skipped() }} as skipped_steps,
        {{ loop_current_step() }} as current_step
    from placed
    cross join recorded
),

dated as (
    select
        *,
        {{ loop_since() }} as step_since,
        greatest(
            opened_at,
            last_event_at,
            acknowledged_at,
            answered_at,
            solved_at,
            called_back_at,
            result_told_at,
            confirmed_at
        ) as last_activity_at
    from walked
),

due as (
    select
        *,
        {{ loop_step_due() }} as step_due_at,
        current_step <> 'closed'
        and last_activity_at < {{ as_of_utc() }} - interval '{{ lapse_days }}' day as is_lapsed
    from dated
),

final as (
    select
        case_id,
        case_kind,
        ticket_id,
        response_id,
        carried_on_ticket_id,
        customer_id,
        order_id,
        opened_at,
        {{ local_date("opened_at") }} as opened_on,
        kind,
        category,
        touchpoint,
        channel,
        urgency,
        department,
        owner_id,
        survey_kind,
        due_at,
        case when is_lapsed then 'lapsed' else current_step end as current_step,
        case when is_lapsed then last_activity_at else step_since end as step_since,
        case when not is_lapsed then step_due_at end as step_due_at,
        case when not is_lapsed then {{ local_date("step_due_at") }} end as step_due_on,
        cast(
            {{ seconds_between(
                "case when is_lapsed then last_activity_at else step_since end", as_of_utc()
            ) }}
            / 3600 as decimal(12, 2)
        ) as step_hours,
        coalesce(not is_lapsed and step_due_at < {{ as_of_utc() }}, false) as is_stuck,
        skipped_steps,
        acknowledged_at,
        answered_at,
        is_resolved,
        solved_at,
        last_reopened_at,
        called_back_at,
        result_told_at,
        is_confirmed,
        confirmed_at,
        archived_at,
        acknowledged_on_time,
        answered_on_time,
        solved_on_time,
        called_back_on_time,
        result_told_on_time,
        confirmed_on_time,
        archived_on_time,
        resolution,
        confirmation,
        is_dissatisfied,
        satisfaction,
        last_activity_at
    from due
)

select * from final
