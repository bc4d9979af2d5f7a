-- Whom should somebody call first? Customers among the top fifth by spend whose last order is
-- already 1.5 times their usual interval ago, the most valuable first.
select
    customer_id,
    region,
    segment,
    stage,
    spend_long,
    days_since_last_order,
    round(average_order_interval_days, 1) as usual_interval_days,
    round(interval_ratio, 2) as interval_ratio,
    segment_reason
from dim_customers
where spend_rank >= 0.8 and interval_ratio >= 1.5
order by spend_long desc, customer_id asc
limit 100;
