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

classes as (
    select * from {{ ref("int_case_classes") }}
),

rules as (
    select * from {{ source("program", "pain_point_rules") }}
),

-- What it was about: the pain point that was recognised, else the topic as it was recorded.
named as (
    select
        cases.*,
        coalesce(classes.pain_point, cases.category, '(none)') as problem,
        coalesce(cases.category, '(none)') as topic,
        coalesce(cases.resolution, '(none)') as solution
    from cases
    left join classes on cases.case_id = classes.case_id
),

categories as (
    select
        problem,
        solution as resolution,
        topic as category
    from named
    group by problem, solution, topic
    qualify row_number() over (partition by problem, solution order by count(*) desc, topic) = 1
),

counted as (
    select
        cases.problem,
        cases.solution as resolution,
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
    from named as cases
    inner join outcomes on cases.case_id = outcomes.ticket_id
    group by cases.problem, cases.solution
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
        ranked.problem,
        coalesce(rules.title_en, ranked.problem) as problem_en,
        coalesce(rules.title_zh, ranked.problem) as problem_zh,
        categories.category,
        ranked.resolution,
        ranked.cases,
        ranked.median_hours,
        ranked.confirmed,
        ranked.satisfied,
        ranked.fairly_satisfied,
        ranked.dissatisfied,
        ranked.satisfied_share,
        ranked.satisfaction_answers,
        ranked.satisfaction,
        ranked.reopening_known,
        ranked.reopen_rate,
        ranked.repeat_known,
        ranked.repeat_rate,
        ranked.last_solved_on,
        ranked.is_enough,
        ranked.is_enough
        and ranked.place = 1
        and ranked.resolution <> '(none)'
        and ranked.problem <> '(none)' as is_best,
        {{ as_of_date() }} as as_of_on
    from ranked
    inner join categories
        on
            ranked.problem = categories.problem
            and ranked.resolution = categories.resolution
    left join rules on ranked.problem = rules.id
)

select * from final
