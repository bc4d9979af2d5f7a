with

incidents as (
    select * from {{ ref("int_incidents") }}
),

steps as (
    select * from {{ source("program", "emergency_steps") }}
),

dated as (
    select
        incidents.incident_id,
        steps.position as step_no,
        steps.id as step,
        steps.title_en as step_en,
        steps.title_zh as step_zh,
        steps.who as owner_role,
        incidents.began_at,
        {{ window_end(
            "incidents.began_at", "steps.within_amount", "steps.within_unit",
            "steps.within_seconds"
        ) }} as due_at
    from incidents
    cross join steps
),

final as (
    select
        *,
        due_at < {{ as_of_utc() }} as is_past_due
    from dated
)

select * from final
