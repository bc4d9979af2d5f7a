{%- set min_cases = setting("closed_loop.knowledge_min_cases", "integer") -%}

with

cases as (
    select
        *,
        {{ plus_repeat_days("solved_at") }} <= {{ as_of_utc() }} as is_settled
    from {{ ref("fct_cases") }}
    where
        case_kind = 'ticket'
        and is_resolved
        and {{ setting("sla.knowledge_base", "boolean") }}
),

outcomes as (
    select * from {{ ref("int_ticket_outcomes") }}
),

counted as (
    select
        coalesce(cases.category, '(none)') as problem,
        coalesce(cases.resolution, '(none)') as resolution,
        count(*) as cases,
        cast(
            median({{ exact_seconds_between("cases.opened_at", "cases.solved_at") }}) / 3600
            as decimal(12, 2)
        ) as median_hours,
        count(*) filter (where cases.confirmation = 'satisfied') as satisfied,
        count(*) filter (where cases.confirmation = 'fairly_satisfied') as fairly_satisfied,
        count(*) filter (where cases.confirmation = 'dissatisfied') as dissatisfied,
        count(cases.satisfaction) as satisfaction_answers,
        cast(avg(cases.satisfaction) as decimal(5, 4)) as satisfaction,
        count(outcomes.is_reopened) as reopening_known,
        count(*) filter (where outcomes.is_reopened) as reopened,
        count(outcomes.is_repeated) filter (where cases.is_settled) as repeat_known,
        count(*) filter (where cases.is_settled and outcomes.is_repeated) as repeated,
        max({{ local_date("cases.solved_at") }}) as last_solved_on
    from cases
    inner join outcomes on cases.case_id = outcomes.ticket_id
    group by 1, 2
),

rated as (
    select
        *,
        satisfied + fairly_satisfied + dissatisfied as confirmed,
        (satisfied + fairly_satisfied)
        / cast(nullif(satisfied + fairly_satisfied + dissatisfied, 0) as double) as satisfied_share,
        reopened / cast(nullif(reopening_known, 0) as double) as reopen_rate,
        repeated / cast(nullif(repeat_known, 0) as double) as repeat_rate,
        satisfied + fairly_satisfied + dissatisfied >= {{ min_cases }} as is_enough
    from counted
),

ranked as (
    select
        *,
        -- The best of those that enough customers confirmed; how it was solved must be known.
        row_number() over (
            partition by problem
            order by
                case when is_enough and resolution <> '(none)' then 0 else 1 end,
                satisfied_share desc nulls last,
                reopen_rate asc nulls last,
                repeat_rate asc nulls last,
                median_hours asc,
                resolution asc
        ) as place
    from rated
),

final as (
    select
        problem,
        resolution,
        cases,
        median_hours,
        confirmed,
        satisfied,
        fairly_satisfied,
        dissatisfied,
        satisfied_share,
        satisfaction_answers,
        satisfaction,
        reopening_known,
        reopen_rate,
        repeat_known,
        repeat_rate,
        last_solved_on,
        is_enough,
        is_enough and place = 1 and resolution <> '(none)' and problem <> '(none)' as is_best,
        {{ as_of_date() }} as as_of_on
    from ranked
)

select * from final
