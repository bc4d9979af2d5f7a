-- Which points can be used last in which month, and what were they earned for? As earned: what
-- customers have used since is not taken off.
select
    cast(date_trunc('month', points.expires_on) as date) as month_start,
    points.reason,
    count(distinct points.customer_id) as customers,
    sum(points.points) as points_earned
from fct_points as points
cross join rpt_run as run
where points.points > 0 and points.expires_on >= run.as_of_on
group by month_start, points.reason
order by month_start asc, points.reason asc;
