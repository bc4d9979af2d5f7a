with

tickets as (
    select * from {{ ref("fct_tickets") }}
),

cases as (
    select * from {{ ref("fct_cases") }}
),

counted as (
    select
        {{ period_start("month", "tickets.opened_on") }} as month,
        coalesce(tickets.touchpoint, '(none)') as touchpoint,
        coalesce(tickets.kind, '(none)') as kind,
        coalesce(tickets.department, '(none)') as department,
        count(*) as tickets,
        count(*) filter (where cases.is_resolved) as solved,
        count(tickets.is_first_contact_resolved) as first_contact_judged,
        count(*) filter (where tickets.is_first_contact_resolved) as first_contact_resolved,
        count(tickets.is_reopened) filter (where cases.is_resolved or tickets.is_reopened)
            as reopening_known,
        count(*) filter (where tickets.is_reopened) as reopened,
        count(tickets.is_repeat) as repeat_known,
        count(*) filter (where tickets.is_repeat) as repeats,
        count(cases.confirmation) as confirmed,
        count(*) filter (where cases.confirmation = 'dissatisfied') as dissatisfied,
        count(cases.satisfaction) as satisfaction_answers,
        sum(cases.satisfaction) as satisfaction_sum
    from tickets
    inner join cases on tickets.ticket_id = cases.case_id
    group by 1, 2, 3, 4
),

final as (
    select
        month,
        touchpoint,
        kind,
        department,
        tickets,
        solved,
        first_contact_judged,
        first_contact_resolved,
        first_contact_resolved / cast(nullif(first_contact_judged, 0) as double)
            as first_contact_rate,
        reopening_known,
        reopened,
        reopened / cast(nullif(reopening_known, 0) as double) as reopen_rate,
        repeat_known,
        repeats,
        repeats / cast(nullif(repeat_known, 0) as double) as repeat_rate,
        confirmed,
        confirmed / cast(nullif(solved, 0) as double) as confirmed_share,
        dissatisfied,
        dissatisfied / cast(nullif(confirmed, 0) as double) as dissatisfied_share,
        satisfaction_answers,
        satisfaction_sum / cast(nullif(satisfaction_answers, 0) as double) as satisfaction,
        {{ as_of_date() }} as as_of_on
    from counted
)

select * from final
