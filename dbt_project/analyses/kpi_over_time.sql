-- How did a KPI go over the quarters, how sure is each figure, and how does it compare with others?
select
    kpi,
    period_start,
    is_over,
    round(value, 4) as value,
    round(low, 4) as surely_from,
    round(high, 4) as surely_to,
    round(change, 4) as change,
    cast(denominator as bigint) as counted,
    benchmark,
    benchmark_source
from rpt_kpis
where
    kpi = 'repurchase_rate'
    and period_type = 'quarter'
    and slice_kind = 'all'
order by period_start;
