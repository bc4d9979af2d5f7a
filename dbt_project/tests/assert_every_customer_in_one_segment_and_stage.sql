-- A pack whose conditions leave somebody out, or a join that doubles a customer, would show here
-- as a customer without a known segment, stage or activity level, missing, or twice.
with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

placed as (
    select * from {{ ref("int_customer_segments") }}
),

active as (
    select * from {{ ref("int_customer_activity") }}
),

segments as (
    select * from {{ source("program", "segments") }}
),

stages as (
    select * from {{ source("program", "stages") }}
),

activity_levels as (
    select * from {{ source("program", "activity_levels") }}
),

known as (
    select
        placed.customer_id,
        segments.segment,
        stages.stage,
        activity_levels.level
    from placed
    left join segments
        on placed.segment = segments.segment and placed.segment_position = segments.position
    left join stages on placed.stage = stages.stage and placed.stage_position = stages.position
    left join active on placed.customer_id = active.customer_id
    left join activity_levels
        on
            active.activity_level = activity_levels.level
            and active.activity_position = activity_levels.position
)

select
    profile.customer_id,
    count(known.segment) as segments,
    count(known.stage) as stages,
    count(known.level) as activity_levels
from profile
left join known on profile.customer_id = known.customer_id
group by profile.customer_id
having count(known.segment) <> 1 or count(known.stage) <> 1 or count(known.level) <> 1
