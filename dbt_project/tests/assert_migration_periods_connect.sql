-- A calendar that does not reach back to the first change would drop the months before it: each
-- period must open with what the one before closed with, and the first with nothing.
with

migration as (
    select * from {{ ref("rpt_segment_migration") }}
),

connected as (
    select
        period_type,
        period_start,
        dimension,
        value,
        opening,
        lag(closing, 1, 0) over (
            partition by period_type, dimension, value
            order by period_start
        ) as previous_closing
    from migration
)

select *
from connected
where opening <> previous_closing
