-- Which segments, regions, owners or touchpoints explain how a KPI changed, by rate and by mix?
with

last_quarter as (
    select max(period_start) as period_start
    from rpt_kpis
    where period_type = 'quarter' and is_over and slice_kind = 'all'
)

select
    deviations.kpi,
    deviations.dimension,
    deviations.member,
    round(deviations.previous_value, 4) as previous_value,
    round(deviations.value, 4) as value,
    round(deviations.rate_effect, 4) as rate_effect,
    round(deviations.mix_effect, 4) as mix_effect,
    round(deviations.total_effect, 4) as total_effect,
    round(deviations.total_value - deviations.total_previous_value, 4) as change_of_all
from rpt_kpi_deviations as deviations
inner join last_quarter on deviations.period_start = last_quarter.period_start
where deviations.period_type = 'quarter' and deviations.kpi = 'repurchase_rate'
order by
    deviations.dimension asc,
    abs(deviations.total_effect) desc,
    deviations.member asc;
