{%- set change = setting("pain_points.trend_from", "double") -%}

with

periods as (
    select * from {{ ref("int_pain_point_periods") }}
),

cases as (
    select
        classes.pain_point,
        classes.touchpoint,
        classes.class,
        cases.case_kind,
        cases.kind,
        cases.customer_id,
        cases.opened_at,
        cases.is_resolved,
        case
            when cases.resolved_at <= {{ ago("pain_points.recheck_after") }} then cases.resolved_at
        end as fixed_at
    from {{ ref("int_case_classes") }} as classes
    inner join {{ ref("int_cases") }} as cases on classes.case_id = cases.case_id
    where classes.pain_point is not null
),

answers as (
    select
        customer_id,
        answered_at,
        cast({{ answer_value() }} as decimal(18, 9)) as value
    from {{ ref("stg_surveys") }}
    where
        kind = 'csat'
        and customer_id is not null
        and answered_at is not null
        and score is not null
        and scale_max > scale_min
),

in_periods as (
    select
        periods.period_type,
        periods.period_no,
        cases.*
    from cases
    inner join periods
        on cases.opened_at >= periods.starts_at and cases.opened_at < periods.ends_at
),

counted as (
    select
        period_type,
        period_no,
        pain_point,
        touchpoint,
        count(*) as cases,
        count(*) filter (where kind = 'complaint') as complaints,
        count(*) filter (where case_kind = 'low_score') as low_scores,
        count(*) filter (where case_kind = 'ticket' and not is_resolved) as open_tickets,
        count(distinct customer_id) as customers_touched
    from in_periods
    group by period_type, period_no, pain_point, touchpoint
),

-- Whoever has it again after the solution has it again, wherever and whenever.
latest_cases as (
    select
        pain_point,
        customer_id,
        max(opened_at) as last_opened_at
    from cases
    where customer_id is not null
    group by pain_point, customer_id
),

touched as (
    select
        in_periods.period_type,
        in_periods.period_no,
        in_periods.pain_point,
        in_periods.touchpoint,
        in_periods.customer_id,
        min(in_periods.fixed_at) as fixed_at,
        max(latest_cases.last_opened_at) > min(in_periods.fixed_at) as came_again
    from in_periods
    inner join latest_cases
        on
            in_periods.pain_point = latest_cases.pain_point
            and in_periods.customer_id = latest_cases.customer_id
    group by
        in_periods.period_type,
        in_periods.period_no,
        in_periods.pain_point,
        in_periods.touchpoint,
        in_periods.customer_id
),

answered as (
    select
        periods.period_type,
        periods.period_no,
        answers.customer_id,
        sum(answers.value) as value_sum,
        count(*) as answers
    from answers
    inner join periods
        on answers.answered_at >= periods.starts_at and answers.answered_at < periods.ends_at
    group by periods.period_type, periods.period_no, answers.customer_id
),

answered_by_all as (
    select
        period_type,
        period_no,
        sum(value_sum) as value_sum,
        sum(answers) as answers
    from answered
    group by period_type, period_no
),

of_touched as (
    select
        touched.period_type,
        touched.period_no,
        touched.pain_point,
        touched.touchpoint,
        coalesce(sum(answered.value_sum), 0) as value_sum,
        coalesce(sum(answered.answers), 0) as answers,
        count(touched.fixed_at) as customers_rechecked,
        count(*) filter (where touched.came_again) as customers_again
    from touched
    left join answered
        on
            touched.period_type = answered.period_type
            and touched.period_no = answered.period_no
            and touched.customer_id = answered.customer_id
    group by touched.period_type, touched.period_no, touched.pain_point, touched.touchpoint
),

after_fix as (
    select
        touched.period_type,
        touched.period_no,
        touched.pain_point,
        touched.touchpoint,
        sum(answers.value) as value_sum,
        count(*) as answers
    from touched
    inner join answers
        on
            touched.customer_id = answers.customer_id
            and touched.fixed_at < answers.answered_at
    group by touched.period_type, touched.period_no, touched.pain_point, touched.touchpoint
),

named as (
    select
        pain_point,
        touchpoint,
        min(class) as class,
        max(opened_at) as last_case_at
    from cases
    group by pain_point, touchpoint
),

measured as (
    select
        periods.period_type,
        periods.period_no,
        periods.period_start,
        periods.period_end,
        periods.is_over,
        periods.is_shown,
        periods.customers_active,
        named.pain_point,
        named.touchpoint,
        named.class,
        named.last_case_at,
        coalesce(counted.cases, 0) as cases,
        coalesce(counted.complaints, 0) as complaints,
        coalesce(counted.low_scores, 0) as low_scores,
        coalesce(counted.open_tickets, 0) as open_tickets,
        coalesce(counted.customers_touched, 0) as customers_touched,
        counted.customers_touched / cast(nullif(periods.customers_active, 0) as double)
            as touched_share,
        counted.complaints / cast(counted.cases as double) as complaint_rate,
        coalesce(of_touched.value_sum, 0) as value_sum,
        cast(coalesce(of_touched.answers, 0) as bigint) as answers,
        coalesce(answered_by_all.value_sum, 0) as value_sum_all,
        cast(coalesce(answered_by_all.answers, 0) as bigint) as answers_all,
        coalesce(of_touched.customers_rechecked, 0) as customers_rechecked,
        coalesce(of_touched.customers_again, 0) as customers_again,
        after_fix.value_sum as value_sum_after,
        coalesce(after_fix.answers, 0) as answers_after
    from periods
    cross join named
    left join counted
        on
            periods.period_type = counted.period_type
            and periods.period_no = counted.period_no
            and named.pain_point = counted.pain_point
            and named.touchpoint = counted.touchpoint
    left join of_touched
        on
            periods.period_type = of_touched.period_type
            and periods.period_no = of_touched.period_no
            and named.pain_point = of_touched.pain_point
            and named.touchpoint = of_touched.touchpoint
    left join after_fix
        on
            periods.period_type = after_fix.period_type
            and periods.period_no = after_fix.period_no
            and named.pain_point = after_fix.pain_point
            and named.touchpoint = after_fix.touchpoint
    left join answered_by_all
        on
            periods.period_type = answered_by_all.period_type
            and periods.period_no = answered_by_all.period_no
),

scored as (
    select
        *,
        round(coalesce(touched_share * complaint_rate, 0), 9) as score
    from measured
),

compared as (
    select
        *,
        lead(score) over (
            partition by period_type, pain_point, touchpoint order by period_no
        ) as previous_score,
        lead(cases) over (
            partition by period_type, pain_point, touchpoint order by period_no
        ) as previous_cases,
        lead(customers_touched) over (
            partition by period_type, pain_point, touchpoint order by period_no
        ) as previous_customers_touched
    from scored
),

final as (
    select
        period_type,
        period_start,
        period_end,
        is_over,
        pain_point,
        touchpoint,
        class,
        cases,
        complaints,
        low_scores,
        open_tickets,
        customers_touched,
        customers_active,
        coalesce(touched_share, 0) as touched_share,
        complaint_rate,
        score,
        case when cases > 0 then {{ pain_point_level("score") }} end as level,
        previous_score,
        previous_customers_touched,
        case
            when not is_over then null
            when cases = 0 then 'gone'
            when previous_cases = 0 then 'new'
            when score = previous_score then 'same'
            when score >= round(previous_score * (1 + {{ change }}), 9) then 'worse'
            when score <= round(previous_score * (1 - {{ change }}), 9) then 'better'
            else 'same'
        end as trend,
        cast(100 * value_sum / nullif(answers, 0) as decimal(4, 1)) as satisfaction,
        answers as satisfaction_answers,
        cast(
            100 * (value_sum_all - value_sum) / nullif(answers_all - answers, 0) as decimal(4, 1)
        ) as satisfaction_others,
        answers_all - answers as satisfaction_others_answers,
        customers_rechecked,
        customers_again,
        customers_again / cast(nullif(customers_rechecked, 0) as double) as came_again_share,
        cast(100 * value_sum_after / nullif(answers_after, 0) as decimal(4, 1))
            as satisfaction_after,
        answers_after as satisfaction_after_answers,
        open_tickets = 0 and last_case_at <= {{ ago("pain_points.solved_after") }} as is_solved
    from compared
    where is_shown and (cases > 0 or previous_cases > 0)
)

select * from final
