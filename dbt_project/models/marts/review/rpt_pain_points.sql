with

pain_points as (
    select * from {{ ref("int_pain_points") }}
),

findings as (
    select * from {{ ref("fct_pain_point_findings") }}
    where left_on is null
),

rules as (
    select * from {{ source("program", "pain_point_rules") }}
),

dated as (
    select
        pain_points.*,
        rules.title_en,
        rules.title_zh,
        rules.is_core,
        coalesce(rules.department, {{ setting("pain_points.department_default") }}) as department,
        findings.found_on,
        findings.due_on
    from pain_points
    inner join rules on pain_points.pain_point = rules.id
    left join findings
        on
            pain_points.period_type = 'rolling'
            and pain_points.pain_point = findings.pain_point
            and pain_points.touchpoint = findings.touchpoint
            and pain_points.level = findings.level
),

final as (
    select
        period_type,
        period_start,
        period_end,
        is_over,
        cast(row_number() over (
            partition by period_type, period_start
            order by score desc, customers_touched desc, pain_point asc, touchpoint asc
        ) as integer) as place,
        touchpoint,
        class,
        pain_point,
        title_en,
        title_zh,
        is_core,
        department,
        cases,
        complaints,
        low_scores,
        open_tickets,
        customers_touched,
        customers_active,
        touched_share,
        complaint_rate,
        score,
        level,
        previous_score,
        previous_customers_touched,
        trend,
        satisfaction,
        satisfaction_answers,
        satisfaction_others,
        satisfaction_others_answers,
        found_on,
        due_on,
        case
            when period_type <> 'rolling' then null
            when is_solved or cases = 0 then 'solved'
            when due_on < {{ as_of_date() }} then 'overdue'
            when trend = 'better' then 'improving'
            else 'open'
        end as state,
        customers_rechecked,
        customers_again,
        came_again_share,
        satisfaction_after,
        satisfaction_after_answers
    from dated
)

select * from final
