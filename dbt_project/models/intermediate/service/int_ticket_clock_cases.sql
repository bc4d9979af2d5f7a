{%- set traits = [
    "kind", "urgency", "channel", "touchpoint", "segment", "stage", "tier",
] -%}

with

targets as (
    select
        *,
        coalesce(valid_from, timestamp '1900-01-01') as from_at,
        coalesce(valid_until, timestamp '2900-01-01') as until_at
    from {{ ref("int_sla_targets") }}
    where starts in ('ticket_opened', 'handed_over', 'ticket_solved')
),

-- Between two of these moments the same versions of the targets hold.
moments as (
    select from_at from targets
    union
    select until_at from targets
),

epochs as (
    select
        from_at,
        lead(from_at) over (order by from_at) as until_at
    from moments
),

-- What has not happened comes as null; the later fulfils the earlier.
messages as (
    select
        messages.occasion,
        {{ asks_for_survey("messages.purpose", "messages.rule") }} as asks,
        events.at_utc as sent_at
    from {{ source("ledger", "messages") }} as messages
    inner join {{ source("ledger", "events") }} as events
        on messages.message_id = events.message_id
    where
        messages.kind = 'send'
        and events.state = 'sent'
        and events.at_utc <= {{ as_of_utc() }}
        and (
            left(messages.occasion, 14) = 'ticket_opened:'
            or left(messages.occasion, 14) = 'ticket_solved:'
        )
),

receipts as (
    select
        substring(occasion, 15) as ticket_id,
        min(sent_at) as sent_at
    from messages
    where left(occasion, 14) = 'ticket_opened:'
    group by substring(occasion, 15)
),

tickets as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        tickets.opened_at,
        tickets.handed_over_at,
        least(tickets.acknowledged_at, receipts.sent_at) as acknowledged_at,
        tickets.automatic_response_at,
        least(tickets.first_response_at, stops.first_done_at) as answered_at,
        stops.done_since,
        stops.closed_since,
        tickets.archived_at,
        coalesce(tickets.kind, '') as kind,
        coalesce(tickets.urgency, '') as urgency,
        coalesce(tickets.channel, '') as channel,
        coalesce(tickets.touchpoint, '') as touchpoint,
        coalesce(customers.segment, '') as segment,
        coalesce(customers.stage, '') as stage,
        coalesce(customers.tier, '') as tier,
        coalesce(tickets.is_complex, false) as is_complex
    from {{ ref("stg_tickets") }} as tickets
    inner join {{ ref("int_ticket_stops") }} as stops on tickets.ticket_id = stops.ticket_id
    inner join {{ ref("int_ticket_customers") }} as customers
        on tickets.ticket_id = customers.ticket_id
    left join receipts on tickets.ticket_id = receipts.ticket_id
    where coalesce(tickets.urgency not in ({{ setting_list("sla.recorded_only") }}), true)
),

-- Tickets that look alike have the same clocks, so these are found once for all of them.
looks as (
    select distinct
        {{ traits | join(",\n        ") }},
        is_complex
    from tickets
),

ranked as (
    select
        {%- for trait in traits %}
        looks.{{ trait }},
        {%- endfor %}
        looks.is_complex,
        epochs.from_at as valid_from,
        epochs.until_at as valid_until,
        targets.target_key,
        targets.clock,
        targets.starts,
        targets.stops,
        row_number() over (
            partition by
                {%- for trait in traits %}
                looks.{{ trait }},
                {%- endfor %}
                looks.is_complex,
                epochs.from_at,
                targets.starts,
                targets.stops
            order by targets.position, targets.target_key
        ) as place
    from looks
    cross join epochs
    inner join targets
        on
            epochs.from_at >= targets.from_at
            and epochs.from_at < targets.until_at
            and {{ empty_or_holds("targets.kinds", "looks.kind") }}
            and {{ empty_or_holds("targets.urgencies", "looks.urgency") }}
            and {{ empty_or_holds("targets.channels", "looks.channel") }}
            and {{ empty_or_holds("targets.touchpoints", "looks.touchpoint") }}
            and {{ empty_or_holds("targets.segments", "looks.segment") }}
            and {{ empty_or_holds("targets.stages", "looks.stage") }}
            and {{ empty_or_holds("targets.tiers", "looks.tier") }}
            and coalesce(targets.is_complex = looks.is_complex, true)
),

fitting as (
    select * from ranked
    where place = 1
),

-- Clocks that start with the ticket or while it is worked on.
begun as (
    select
        tickets.ticket_id,
        fitting.clock,
        fitting.target_key,
        case
            when fitting.starts = 'ticket_opened' then tickets.opened_at
            when fitting.starts = 'handed_over' then tickets.handed_over_at
        end as started_at,
        case fitting.stops
            when 'automatic_answer'
                then least(
                    tickets.automatic_response_at, tickets.acknowledged_at, tickets.answered_at
                )
            when 'acknowledged' then least(tickets.acknowledged_at, tickets.answered_at)
            when 'first_response' then tickets.answered_at
            when 'solved' then tickets.done_since
            when 'closed' then tickets.closed_since
        end as stopped_at
    from tickets
    inner join fitting
        on
            {%- for trait in traits %}
            tickets.{{ trait }} = fitting.{{ trait }} and
            {%- endfor %}
            tickets.is_complex = fitting.is_complex
            and tickets.opened_at >= fitting.valid_from
            and tickets.opened_at < fitting.valid_until
    where fitting.starts <> 'ticket_solved'
),

-- A solution, and until when the customer is to hear of it: until the ticket is reopened or
-- archived, or the pack's days without a word have passed.
solutions as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        fitting.clock,
        fitting.target_key,
        fitting.stops,
        solutions.cycle,
        solutions.solved_at,
        least(
            solutions.reopened_at,
            case
                when tickets.archived_at is not null
                    then greatest(tickets.archived_at, solutions.solved_at)
            end,
            {{ lapses_at("solutions.solved_at") }}
        ) as over_at
    from tickets
    inner join fitting
        on
            {%- for trait in traits %}
            tickets.{{ trait }} = fitting.{{ trait }} and
            {%- endfor %}
            tickets.is_complex = fitting.is_complex
            and tickets.opened_at >= fitting.valid_from
            and tickets.opened_at < fitting.valid_until
    inner join {{ ref("int_ticket_solutions") }} as solutions
        on tickets.ticket_id = solutions.ticket_id
    where fitting.starts = 'ticket_solved'
),

waits as (
    select 'survey_asked' as stops
    union all
    select 'result_told' as stops
),

contacts as (
    select
        ticket_id,
        'customer_called_back' as stops,
        done_at as contacted_at
    from {{ ref("stg_follow_ups") }}
    where ticket_id is not null and done_at is not null
    union all
    select
        surveys.ticket_id,
        waits.stops,
        surveys.asked_at as contacted_at
    from {{ ref("stg_surveys") }} as surveys
    cross join waits
    where surveys.ticket_id is not null and surveys.asked_at <= {{ as_of_utc() }}
    union all
    select
        substring(messages.occasion, 15, length(messages.occasion) - 25) as ticket_id,
        waits.stops,
        messages.sent_at as contacted_at
    from messages
    inner join waits on messages.asks or waits.stops = 'result_told'
    where left(messages.occasion, 14) = 'ticket_solved:'
),

contacted as (
    select
        solutions.ticket_id,
        solutions.clock,
        solutions.cycle,
        min(contacts.contacted_at) as contacted_at
    from solutions
    inner join contacts
        on
            solutions.ticket_id = contacts.ticket_id
            and solutions.stops = contacts.stops
            and solutions.solved_at <= contacts.contacted_at
    group by solutions.ticket_id, solutions.clock, solutions.cycle
),

-- A call that names no ticket counts where none names this one.
called as (
    select
        solutions.ticket_id,
        solutions.clock,
        solutions.cycle,
        min(calls.done_at) as called_at
    from solutions
    inner join {{ ref("stg_follow_ups") }} as calls
        on
            solutions.customer_id = calls.customer_id
            and solutions.solved_at <= calls.done_at
    where
        solutions.stops = 'customer_called_back'
        and calls.ticket_id is null
        and calls.method = 'call'
    group by solutions.ticket_id, solutions.clock, solutions.cycle
),

solved as (
    select
        solutions.*,
        coalesce(contacted.contacted_at, called.called_at) as contacted_at
    from solutions
    left join contacted
        on
            solutions.ticket_id = contacted.ticket_id
            and solutions.clock = contacted.clock
            and solutions.cycle = contacted.cycle
    left join called
        on
            solutions.ticket_id = called.ticket_id
            and solutions.clock = called.clock
            and solutions.cycle = called.cycle
),

final as (
    select
        'ticket' as case_kind,
        ticket_id as case_id,
        clock,
        target_key,
        1 as cycle,
        started_at,
        case when stopped_at is not null then greatest(stopped_at, started_at) end as stopped_at,
        cast(null as timestamp) as ended_at
    from begun
    where started_at is not null
    union all
    select
        'ticket' as case_kind,
        ticket_id as case_id,
        clock,
        target_key,
        cycle,
        solved_at as started_at,
        case when contacted_at <= over_at then contacted_at end as stopped_at,
        case
            when coalesce(contacted_at > over_at, true) and over_at <= {{ as_of_utc() }}
                then over_at
        end as ended_at
    from solved
)

select * from final
