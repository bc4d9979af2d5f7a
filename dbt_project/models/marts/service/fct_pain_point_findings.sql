with

pain_points as (
    select * from {{ ref("int_pain_points") }}
    where period_type = 'rolling' and cases > 0 and not is_solved
),

levels as (
    select * from {{ source("program", "pain_point_levels") }}
),

rules as (
    select * from {{ source("program", "pain_point_rules") }}
),

previous as (
    select * from {{ source("run", "previous_pain_point_findings") }}
),

-- Who reaches a level has reached all below it, so a fall does not begin a new term.
reached as (
    select
        pain_points.pain_point,
        pain_points.touchpoint,
        levels.level,
        rules.is_core,
        {{ plus_units(
            as_of_date(), "levels.solve_within_amount", "levels.solve_within_unit"
        ) }} as due_on
    from pain_points
    inner join levels on pain_points.score >= levels.min_score
    inner join rules on pain_points.pain_point = rules.id
),

still_open as (
    select * from previous
    where left_on is null
),

findings as (
    select
        coalesce(still_open.pain_point, reached.pain_point) as pain_point,
        coalesce(still_open.touchpoint, reached.touchpoint) as touchpoint,
        coalesce(still_open.level, reached.level) as level,
        coalesce(reached.is_core, still_open.is_core) as is_core,
        coalesce(still_open.found_on, {{ as_of_date() }}) as found_on,
        coalesce(still_open.due_on, reached.due_on) as due_on,
        case when reached.pain_point is null then {{ as_of_date() }} end as left_on
    from still_open
    full outer join reached
        on
            still_open.pain_point = reached.pain_point
            and still_open.touchpoint = reached.touchpoint
            and still_open.level = reached.level
    union all
    select
        pain_point,
        touchpoint,
        level,
        is_core,
        found_on,
        due_on,
        left_on
    from previous
    where left_on is not null
),

final as (
    select
        pain_point || '|' || touchpoint || '|' || level || '|' || cast(found_on as varchar)
            as finding_key,
        pain_point,
        touchpoint,
        level,
        is_core,
        found_on,
        due_on,
        left_on,
        coalesce(left_on, {{ as_of_date() }}) > due_on as is_late,
        {{ as_of_utc() }} as as_of
    from findings
)

select * from final
