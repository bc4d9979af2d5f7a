with

cases as (
    select * from {{ ref("fct_cases") }}
),

-- One row per step of a case that counts: the one it is in, and those whose time is judged.
in_step as (
    select
        current_step as step,
        coalesce(department, '(none)') as department,
        coalesce(owner_id, '(none)') as owner_id,
        coalesce(urgency, '(none)') as urgency,
        count(*) as cases,
        count(*) filter (where is_stuck) as stuck,
        max(case when current_step <> 'closed' then step_hours end) as oldest_hours,
        0 as judged,
        0 as on_time,
        0 as time_unknown
    from cases
    group by step, department, owner_id, urgency
),

judged as (
    {%- for step in loop_plan() if step["moment"] %}
    select
        {{ text_literal(step["id"]) }} as step,
        coalesce(department, '(none)') as department,
        coalesce(owner_id, '(none)') as owner_id,
        coalesce(urgency, '(none)') as urgency,
        0 as cases,
        0 as stuck,
        cast(null as decimal(12, 2)) as oldest_hours,
        count({{ step["id"] }}_on_time) as judged,
        count(*) filter (where {{ step["id"] }}_on_time) as on_time,
        count(*) filter (where {{ step["id"] }}_on_time is null and {{ loop_untimed(step["id"]) }})
            as time_unknown
    from cases
    where
        opened_at >= {{ window_start("long") }}
        and ({{ step["id"] }}_on_time is not null or {{ loop_untimed(step["id"]) }})
    group by step, department, owner_id, urgency
    {{ "union all" if not loop.last }}
    {%- else %}
    select *
    from in_step
    where false
    {%- endfor %}
),

counted as (
    select * from in_step
    union all
    select * from judged
),

summed as (
    select
        step,
        department,
        owner_id,
        urgency,
        sum(cases) as cases,
        sum(stuck) as stuck,
        max(oldest_hours) as oldest_hours,
        sum(judged) as judged,
        sum(on_time) as on_time,
        sum(time_unknown) as time_unknown
    from counted
    group by step, department, owner_id, urgency
),

steps as (
    select
        id,
        position
    from {{ source("program", "loop_steps") }}
),

final as (
    select
        summed.step,
        {{ loop_title("summed.step", "en") }} as step_en,
        {{ loop_title("summed.step", "zh") }} as step_zh,
        cast(
            coalesce(steps.position, case summed.step when 'closed' then 98 else 99 end) as integer
        ) as step_no,
        summed.department,
        summed.owner_id,
        summed.urgency,
        cast(summed.cases as bigint) as cases,
        cast(summed.stuck as bigint) as stuck,
        summed.oldest_hours,
        cast(summed.judged as bigint) as judged,
        cast(summed.on_time as bigint) as on_time,
        cast(summed.time_unknown as bigint) as time_unknown,
        summed.on_time / cast(nullif(summed.judged, 0) as double) as on_time_share,
        {{ as_of_date() }} as as_of_on
    from summed
    left join steps on summed.step = steps.id
)

select * from final
