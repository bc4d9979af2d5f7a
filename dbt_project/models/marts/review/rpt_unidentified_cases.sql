with

periods as (
    select * from {{ ref("int_pain_point_periods") }}
    where is_shown
),

cases as (
    select
        cases.*,
        classes.touchpoint as place
    from {{ ref("int_cases") }} as cases
    inner join {{ ref("int_case_classes") }} as classes on cases.case_id = classes.case_id
    where classes.pain_point is null
),

final as (
    select
        periods.period_type,
        periods.period_start,
        periods.period_end,
        coalesce(cases.kind, '(unknown)') as kind,
        coalesce(cases.category, '(unknown)') as category,
        cases.place as touchpoint,
        count(*) as cases,
        count(distinct cases.customer_id) as customers
    from cases
    inner join periods
        on cases.opened_at >= periods.starts_at and cases.opened_at < periods.ends_at
    group by
        periods.period_type,
        periods.period_start,
        periods.period_end,
        coalesce(cases.kind, '(unknown)'),
        coalesce(cases.category, '(unknown)'),
        cases.place
)

select * from final
