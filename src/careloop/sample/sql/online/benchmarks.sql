select kpi, (year(getvariable('start_date')::date) + 3 + y)::varchar as period, round(value * (1 + 0.01 * y), 3) as value, 'careloop sample' as source
from unnest(getvariable('benchmarks')) b(b), lateral (select b.kpi as kpi, b.value as value), range(2) t(y)
order by kpi, period
