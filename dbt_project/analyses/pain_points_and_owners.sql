-- What hurts customers most in the last whole quarter, who sees to it, and by when?
select
    rpt_pain_points.place,
    rpt_pain_points.touchpoint,
    rpt_pain_points.title_en as pain_point,
    rpt_pain_points.customers_touched as customers,
    round(100 * rpt_pain_points.complaint_rate, 1) as complaint_pct,
    rpt_pain_points.level,
    rpt_pain_points.department,
    rpt_pain_points.due_on,
    rpt_pain_points.state
from rpt_pain_points
where
    rpt_pain_points.is_over
    and rpt_pain_points.cases > 0
    and (rpt_pain_points.period_type, rpt_pain_points.period_start) = (
        select (last_period.period_type, last_period.period_start)
        from rpt_pain_points as last_period
        where last_period.is_over
        order by last_period.period_start desc, last_period.period_type asc
        limit 1
    )
order by rpt_pain_points.place asc, rpt_pain_points.touchpoint asc, pain_point asc
