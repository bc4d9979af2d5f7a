-- Which targets were missed in their last period that is over, by how much, and since when?
with

last_periods as (
    select *
    from rpt_kpi_targets
    where is_over and slice_kind <> 'owner'
    qualify period_start = max(period_start) over (partition by target_id)
)

select
    target_id,
    kpi,
    slice,
    period_type,
    period_start,
    round(value, 4) as value,
    round(target, 4) as target,
    round(attainment, 3) as attainment,
    state,
    is_critical,
    due_on,
    cast(denominator as bigint) as counted
from last_periods
order by state = 'missed' desc, is_critical desc, target_no asc, slice asc;
