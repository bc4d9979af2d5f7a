-- How is a KPI where two dimensions meet, such as core customers by region? Sum first, then divide.
select
    fct_kpis.segment,
    fct_kpis.region,
    cast(sum(fct_kpis.denominator) as bigint) as counted,
    round(sum(fct_kpis.numerator) / sum(fct_kpis.denominator), 4) as value
from fct_kpis
where
    fct_kpis.kpi = 'repurchase_rate'
    and fct_kpis.period_type = 'year'
    and fct_kpis.period_start = (
        select max(periods.period_start)
        from fct_kpis as periods
        where periods.kpi = 'repurchase_rate' and periods.period_type = 'year'
    )
group by fct_kpis.segment, fct_kpis.region
having sum(fct_kpis.denominator) > 0
order by counted desc, fct_kpis.segment asc, fct_kpis.region asc;
