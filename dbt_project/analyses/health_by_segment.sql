-- How healthy is each segment, and which part of the score is weakest there? One row per segment
-- and component, as on the radar, and (total) with its shares of red, yellow and green.
select
    segment,
    component,
    title_en,
    title_zh,
    customers_known,
    average_score,
    average_score - max(case when segment = '(all)' then average_score end) over (
        partition by component
    ) as against_all,
    round(100 * red_share, 1) as red_percent,
    round(100 * yellow_share, 1) as yellow_percent,
    round(100 * green_share, 1) as green_percent
from rpt_health
order by segment asc, component = '(total)' desc, average_score asc, component asc;
