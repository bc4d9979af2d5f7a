-- A pack whose conditions leave somebody out, or a join that doubles a customer, would show here
-- as a customer without a known segment or stage, missing, or twice.
with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

placed as (
    select * from {{ ref("int_customer_segments") }}
),

segments as (
    select * from {{ source("program", "segments") }}
),

stages as (
    select * from {{ source("program", "stages") }}
),

known as (
    select
        placed.customer_id,
        segments.segment,
        stages.stage
    from placed
    left join segments
        on placed.segment = segments.segment and placed.segment_position = segments.position
    left join stages on placed.stage = stages.stage and placed.stage_position = stages.position
)

select
    profile.customer_id,
    count(known.segment) as segments,
    count(known.stage) as stages
from profile
left join known on profile.customer_id = known.customer_id
group by profile.customer_id
having count(known.segment) <> 1 or count(known.stage) <> 1
