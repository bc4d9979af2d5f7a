{{ config(materialized="view") }}

{%- set as_of = as_of_utc() -%}
{#- KPIs of tickets: the day that counts, which tickets, numerator, denominator. -#}
{%- set ticket_kpis = {
    "first_contact_resolution": [
        "opened_on", "is_first_contact_resolved is not null", one_if("is_first_contact_resolved"), "1"
    ],
    "complaints_on_time": [
        "complaint_due_on", "complaint_state in ('met', 'breached')",
        one_if("complaint_state = 'met'"), "1",
    ],
    "sla_on_time_rate": ["opened_on", "judged > 0", "met", "judged"],
    "resolution_rate": ["opened_on", "true", one_if("is_solved"), "1"],
    "automatic_resolution_rate": [
        "opened_on", "is_answered_automatically", one_if("is_solved_automatically"), "1"
    ],
    "handover_success_rate": [
        "handed_over_on", "handed_over_on is not null", one_if("is_answered_after_hand_over"), "1"
    ],
    "automatic_response_minutes": [
        "opened_on", "is_answered_automatically", kpi_part("automatic_seconds / 60"), "1"
    ],
    "first_response_minutes": ["opened_on", "is_answered", kpi_part("response_seconds / 60"), "1"],
    "resolution_hours": [
        "solved_on", "solved_on is not null", kpi_part("solved_seconds / 3600"), "1"
    ],
    "after_sale_cycle_days": [
        "solved_on", "solved_on is not null and is_after_sale",
        kpi_part("solved_seconds / 86400"), "1",
    ],
} -%}

with

periods as (
    select * from {{ ref("int_kpi_periods") }}
),

days as (
    {{ kpi_days() }}
),

targets as (
    select
        target_key,
        starts,
        stops
    from {{ ref("int_sla_targets") }}
),

clocks as (
    select
        clocks.ticket_id,
        clocks.kind,
        targets.starts,
        targets.stops,
        clocks.target_key,
        clocks.started_at,
        clocks.due_at,
        clocks.state,
        clocks.is_open,
        clocks.elapsed_seconds
    from {{ ref("fct_ticket_clocks") }} as clocks
    inner join targets on clocks.target_key = targets.target_key
),

-- A ticket has one clock for the first response from each of its beginnings; that from the
-- hand-over to a person goes before.
ticket_clocks as (
    select
        ticket_id,
        count(*) filter (where state = 'met') as met,
        count(*) filter (where state in ('met', 'breached')) as judged,
        coalesce(
            min(elapsed_seconds) filter (
                where stops = 'first_response' and starts = 'handed_over' and not is_open
            ),
            min(elapsed_seconds) filter (
                where stops = 'first_response' and starts <> 'handed_over' and not is_open
            )
        ) as response_seconds
    from clocks
    group by ticket_id
),

-- A complaint is done when its last promise is kept: that of its end, else of the solution.
complaint_clocks as (
    select
        ticket_id,
        due_at,
        state
    from clocks
    where kind = 'complaint' and stops in ('solved', 'closed')
    qualify row_number() over (
        partition by ticket_id
        order by stops asc, started_at desc, target_key asc
    ) = 1
),

tickets as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        tickets.owner_id,
        tickets.touchpoint,
        {{ local_date("tickets.opened_at") }} as opened_on,
        case
            when tickets.handed_over_at < {{ as_of }}
                then {{ local_date("tickets.handed_over_at") }}
        end as handed_over_on,
        case
            when outcomes.solved_at < {{ as_of }} then {{ local_date("outcomes.solved_at") }}
        end as solved_on,
        case
            when complaint_clocks.due_at < {{ as_of }}
                then {{ local_date("complaint_clocks.due_at") }}
        end as complaint_due_on,
        tickets.touchpoint = 'after_sale' or tickets.kind = 'return' as is_after_sale,
        tickets.automatic_response_at is not null as is_answered_automatically,
        tickets.first_response_at is not null as is_answered,
        outcomes.solved_at is not null as is_solved,
        outcomes.is_first_contact_resolved,
        coalesce(ticket_clocks.met, 0) as met,
        coalesce(ticket_clocks.judged, 0) as judged,
        complaint_clocks.state as complaint_state,
        tickets.handed_over_at is null
        and tickets.first_response_at is null
        and outcomes.solved_at is not null as is_solved_automatically,
        coalesce(tickets.first_response_at >= tickets.handed_over_at, false)
            as is_answered_after_hand_over,
        {{ exact_seconds_between("tickets.opened_at", "tickets.automatic_response_at") }}
            as automatic_seconds,
        coalesce(
            cast(ticket_clocks.response_seconds as decimal(18, 6)),
            {{ exact_seconds_between(
                "case when tickets.handed_over_at <= tickets.first_response_at"
                ~ " then tickets.handed_over_at else tickets.opened_at end",
                "tickets.first_response_at"
            ) }}
        ) as response_seconds,
        {{ exact_seconds_between("tickets.opened_at", "outcomes.solved_at") }} as solved_seconds
    from {{ ref("stg_tickets") }} as tickets
    inner join {{ ref("int_ticket_outcomes") }} as outcomes
        on tickets.ticket_id = outcomes.ticket_id
    left join ticket_clocks on tickets.ticket_id = ticket_clocks.ticket_id
    left join complaint_clocks on tickets.ticket_id = complaint_clocks.ticket_id
    where tickets.opened_at < {{ as_of }}
),

-- As rpt_problem_identification counts: nobody knows whether a case that no rule matches is a
-- core one, so it counts as if it were.
problems as (
    select
        cases.customer_id,
        cases.owner_id,
        nullif(classes.touchpoint, '(unknown)') as touchpoint,
        {{ local_date("cases.opened_at") }} as opened_on,
        classes.is_core or classes.matched_by is null as is_core,
        classes.matched_by is not null as is_identified
    from {{ ref("int_cases") }} as cases
    inner join {{ ref("int_case_classes") }} as classes on cases.case_id = classes.case_id
    where
        (cases.case_kind = 'low_score' or cases.kind = 'complaint')
        and cases.opened_at < {{ as_of }}
),

facts as (
    {%- for kpi, (day, condition, numerator, denominator) in ticket_kpis.items() %}
    select
        '{{ kpi }}' as kpi,
        {{ day }} as happened_on,
        customer_id,
        owner_id,
        touchpoint,
        cast(null as boolean) as is_core,
        {{ numerator }} as numerator,
        {{ denominator }} as denominator
    from tickets
    where {{ condition }}
    union all
    {%- endfor %}
    select
        'problem_identification_rate' as kpi,
        opened_on as happened_on,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        {{ one_if("is_identified") }} as numerator,
        1 as denominator
    from problems
),

pain_points as (
    select
        nullif(touchpoint, '(unknown)') as touchpoint,
        is_core,
        found_on,
        due_on,
        left_on
    from {{ ref("fct_pain_point_findings") }}
),

-- The KPI findings of this run are made from this model: those of the run before are seen.
findings as (
    select
        touchpoint,
        is_core,
        due_on,
        left_on
    from pain_points
    union all
    select
        cast(null as varchar) as touchpoint,
        cast(null as boolean) as is_core,
        due_on,
        left_on
    from {{ source("run", "previous_kpi_findings") }}
),

-- A finding is settled on the day it was left in time, else once its due day is over.
settled as (
    select
        touchpoint,
        is_core,
        coalesce(left_on <= due_on, false) as is_on_time,
        case
            when left_on <= due_on then left_on
            when due_on < {{ as_of_date() }} then due_on
        end as settled_on
    from findings
),

final as (
    select {{ kpi_columns(owner_id="owner_id", touchpoint="touchpoint", is_core="is_core") }}
    from facts
    inner join days on facts.happened_on = days.day
    union all
    select {{ kpi_columns(
        kpi="'pain_points_solved_rate'",
        customer_id="cast(null as varchar)",
        touchpoint="touchpoint",
        is_core="is_core",
        numerator=one_if("pain_points.left_on < periods.period_end"),
        denominator="1"
    ) }}
    from pain_points
    inner join periods
        on
            pain_points.found_on < periods.period_end
            and coalesce(pain_points.left_on >= periods.period_start, true)
    union all
    select {{ kpi_columns(
        kpi="'rectification_rate'",
        customer_id="cast(null as varchar)",
        touchpoint="touchpoint",
        is_core="is_core",
        numerator=one_if("settled.is_on_time"),
        denominator="1"
    ) }}
    from settled
    inner join days on settled.settled_on = days.day
)

select * from final
