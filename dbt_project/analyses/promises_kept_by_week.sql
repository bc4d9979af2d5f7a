-- How many promises were kept on time, by clock and week, and what share does the program want?
select
    clock_en as promise,
    cast(date_trunc('week', stopped_at) as date) as week_from,
    count(*) as tickets,
    round(100 * avg(cast(state = 'met' as integer)), 1) as on_time_pct,
    round(100 * max(target_share), 1) as wanted_pct,
    round(median(elapsed_seconds) / 60) as median_minutes
from fct_ticket_clocks
where state in ('met', 'breached') and not is_open
group by promise, week_from
order by week_from desc, promise asc
