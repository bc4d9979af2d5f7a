-- Whose health fell fastest against a month ago, and what costs them most points now? The deepest
-- falls first.
select
    customer_id,
    segment,
    account_manager_id,
    health_score,
    health_band,
    health_trend_30,
    health_trend_90,
    health_weakest,
    health_known_share,
    churn_reason
from dim_customers
where health_trend_30 < 0
order by health_trend_30 asc, customer_id asc
limit 100;
