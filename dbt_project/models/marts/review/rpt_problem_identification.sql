with

periods as (
    select * from {{ ref("int_pain_point_periods") }}
    where is_shown
),

cases as (
    select
        cases.opened_at,
        cases.case_kind = 'low_score' or coalesce(cases.kind = 'complaint', false) as is_problem,
        classes.matched_by,
        classes.is_core
    from {{ ref("int_cases") }} as cases
    inner join {{ ref("int_case_classes") }} as classes on cases.case_id = classes.case_id
),

targets as (
    select
        core_only,
        min(value) as target
    from {{ source("program", "kpi_targets") }}
    where kpi = 'problem_identification_rate'
    group by core_only
),

scopes as (
    select
        'problems' as scope,
        false as core_only
    union all
    select
        'problems' as scope,
        true as core_only
    union all
    select
        'all' as scope,
        false as core_only
),

-- Nobody knows whether a case that no rule matches is a core one: it is counted as if it were.
counted as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        periods.is_over,
        scopes.scope,
        scopes.core_only,
        count(cases.opened_at) as cases,
        count(*) filter (where cases.matched_by = 'category') as by_category,
        count(*) filter (where cases.matched_by = 'keyword') as by_keyword,
        count(*) filter (where cases.opened_at is not null and cases.matched_by is null)
            as unmatched
    from periods
    cross join scopes
    left join cases
        on
            periods.starts_at <= cases.opened_at
            and periods.ends_at > cases.opened_at
            and (scopes.scope = 'all' or cases.is_problem)
            and (not scopes.core_only or cases.is_core or cases.matched_by is null)
    group by
        periods.period_type,
        periods.period_start,
        periods.period_end,
        periods.is_over,
        scopes.scope,
        scopes.core_only
),

rated as (
    select
        counted.*,
        (counted.by_category + counted.by_keyword) / cast(nullif(counted.cases, 0) as double)
            as identified_share,
        case when counted.scope = 'problems' then targets.target end as target
    from counted
    left join targets on counted.core_only = targets.core_only
),

final as (
    select
        *,
        identified_share >= target as is_met
    from rated
)

select * from final
