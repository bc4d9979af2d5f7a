-- Which late, lost or stalled orders were customers not told of in time, or not yet?
select
    order_id,
    customer_id,
    state,
    tell_by_at as tell_by_utc,
    days_late,
    case
        when told_at is null and told_in_time is null then 'not yet'
        when told_at is null then 'not told'
        else 'told too late'
    end as told,
    department
from fct_late_deliveries
where not coalesce(told_in_time, false)
order by found_at desc, order_id asc
