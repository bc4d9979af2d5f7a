-- Which solution has satisfied customers best, problem by problem, and how often was it used?
select
    problem,
    resolution,
    cases,
    round(100 * satisfied_share, 1) as satisfied_pct,
    round(100 * reopen_rate, 1) as reopened_pct,
    round(median_hours, 1) as usual_hours
from rpt_knowledge
where is_best
order by cases desc, problem asc
