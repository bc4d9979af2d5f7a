{%- set as_of = as_of_utc() -%}
{%- set step = care_telling_step() -%}
{%- set waits = care_waits("ticket_overdue") -%}
{%- set starts, ends = setting_text("quiet_hours.starts"), setting_text("quiet_hours.ends") -%}
{#- What a later day begins with, where it does not begin in quiet hours. -#}
{%- set first_minute = minute_of_text("'" ~ ends ~ "'")
    if waits["quiet"] and (starts > ends or starts == "00:00") else "0" -%}
{%- set after_seconds = (step["after_seconds"] or 0) if step else 0 -%}
{%- set new_seconds = (step["new_time_seconds"] or 0) if step else 0 -%}

with

targets as (
    select * from {{ ref("int_sla_targets") }}
),

-- What was promised to the customer about the problem itself; not what follows the solution.
breached as (
    select
        clocks.*,
        targets.position
    from {{ ref("int_clocks") }} as clocks
    inner join targets on clocks.target_key = targets.target_key
    where
        clocks.case_kind = 'ticket'
        and clocks.breached_at <= {{ as_of }}
        and targets.starts in ('ticket_opened', 'handed_over')
        and targets.stops <> 'automatic_answer'
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

incident_tickets as (
    select distinct ticket_id from {{ ref("int_incident_tickets") }}
),

days as (
    select * from {{ ref("int_care_days") }}
),

work_hours as (
    select
        *,
        lead(opens_at) over (order by opens_at) as next_opens_at
    from {{ ref("int_service_time") }}
),

changes as (
    select
        ticket_id,
        from_at,
        status in ('solved', 'closed') as is_settled,
        lag(status in ('solved', 'closed')) over (partition by ticket_id order by from_at)
            as was_settled
    from {{ ref("int_ticket_statuses") }}
    where
        ticket_id in (
            select open_clocks.case_id from breached as open_clocks
            where open_clocks.is_open
        )
),

reopened as (
    select
        ticket_id,
        from_at as reopened_at
    from changes
    where was_settled and not is_settled
),

-- A ticket that was solved after its time and taken up again is overdue once more.
turns as (
    select
        breached.case_id as ticket_id,
        breached.clock,
        breached.cycle + count(reopened.reopened_at) as turn,
        min(breached.clock_type) as clock_type,
        min(breached.position) as position,
        bool_or(breached.is_open) as is_open,
        max(breached.stopped_at) as stopped_at,
        coalesce(max(reopened.reopened_at), max(breached.breached_at))
        + interval '{{ after_seconds }}' second as occurred_at
    from breached
    left join reopened
        on
            breached.case_id = reopened.ticket_id
            and breached.breached_at < reopened.reopened_at
    group by breached.case_id, breached.clock, breached.cycle
),

ranked as (
    select
        *,
        max(coalesce(stopped_at, timestamp '9999-12-31 00:00:00')) over (
            partition by ticket_id
            order by occurred_at, position, clock, turn
            rows between unbounded preceding and 1 preceding
        ) as covered_until
    from turns
    where occurred_at <= {{ as_of }}
),

-- Of a ticket's clocks that are overdue together the first is told of.
firsts as (
    select
        ranked.*,
        tickets.customer_id,
        tickets.kind as ticket_kind,
        tickets.urgency,
        tickets.touchpoint,
        tickets.owner_id,
        tickets.is_complex,
        coalesce(tickets.acknowledged_at, tickets.first_response_at) is not null as is_answered,
        {{ local_date("ranked.occurred_at") }} as occurred_on,
        {{ minute_of(local_time("ranked.occurred_at")) }} as occurred_minute
    from ranked
    inner join tickets on ranked.ticket_id = tickets.ticket_id
    where
        ranked.is_open
        and coalesce(ranked.covered_until <= ranked.occurred_at, true)
        and ranked.occurred_at >= {{ care_event_from("ticket_overdue") }}
        and tickets.customer_id is not null
        and {{ "true" if step else "false" }}
),

quiet as (
    select
        *,
        {{ in_quiet_hours("occurred_minute") if waits["quiet"] else "false" }} as is_quiet
    from firsts
),

{%- set evening = "is_quiet and occurred_minute >= " ~ minute_of_text("'" ~ starts ~ "'") %}

-- The first day and moment a message may go, wherever it goes.
told_days as (
    select
        quiet.*,
        min(days.day) as told_on
    from quiet
    left join days
        on
            days.day >= case
                when {{ evening if starts > ends else "false" }}
                    then {{ days_after("quiet.occurred_on", 1) }}
                else quiet.occurred_on
            end
            and {{ "days.is_workday" if waits["free_days"] else "true" }}
    group by all
),

told as (
    select
        *,
        case
            when told_on is null or (told_on = occurred_on and not is_quiet) then occurred_at
            when told_on = occurred_on
                then {{ utc_time(day_minute("told_on", minute_of_text("'" ~ ends ~ "'"))) }}
            else {{ utc_time(day_minute("told_on", first_minute)) }}
        end as told_from
    from told_days
),

-- Working time up to then; outside of it that of the hours before.
worked as (
    select
        told.*,
        work_hours.worked_before + least(
            work_hours.worked_after - work_hours.worked_before,
            cast(floor(
                {{ seconds_between("work_hours.opens_at", "told.told_from") }}
            ) as bigint)
        ) + {{ new_seconds }} as worked_until
    from told
    left join work_hours
        on
            told.clock_type = 'business'
            and told.told_from >= work_hours.opens_at
            and coalesce(told.told_from < work_hours.next_opens_at, true)
),

loads as (
    select
        tickets.owner_id,
        count(distinct tickets.ticket_id) as overdue_tickets
    from breached
    inner join tickets on breached.case_id = tickets.ticket_id
    where breached.is_open and tickets.owner_id is not null
    group by tickets.owner_id
),

final as (
    select
        worked.customer_id,
        worked.ticket_id,
        worked.clock,
        {{ text_literal(step["id"] if step else "") }} as step,
        'ticket_overdue:' || worked.ticket_id || ':' || worked.clock
        || {{ text_literal(":" ~ (step["id"] if step else "")) }}
        || case when worked.turn > 1 then ':' || cast(worked.turn as varchar) else '' end
            as occasion,
        worked.occurred_at,
        case
            when worked.clock_type = 'business'
                then
                    {{ care_seconds_later(
                        "work_hours.opens_at", "worked.worked_until - work_hours.worked_before"
                    ) }}
            else worked.told_from + interval '{{ new_seconds }}' second
        end as new_due_at,
        case
            when incident_tickets.ticket_id is not null then 'incident'
            when worked.is_complex then 'complex'
            when loads.overdue_tickets >= {{ setting("sla.backlog_from", "integer") }}
                then 'backlog'
        end as why,
        worked.ticket_kind,
        worked.urgency,
        worked.touchpoint,
        worked.is_answered
    from worked
    left join work_hours
        on
            worked.worked_until > work_hours.worked_before
            and worked.worked_until <= work_hours.worked_after
    left join incident_tickets on worked.ticket_id = incident_tickets.ticket_id
    left join loads on worked.owner_id = loads.owner_id
)

select * from final
