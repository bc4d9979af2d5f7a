-- Which alerts should somebody work on first? All open alerts of customers with a level of churn
-- risk, in the program's order: by default the most valuable customer first.
select
    alerts.churn_rank,
    alerts.customer_id,
    customers.account_manager_id,
    alerts.churn_level,
    alerts.churn_level_since,
    customers.spend_long,
    alerts.signal_title_en,
    alerts.signal_title_zh,
    alerts.onset_on,
    alerts.observed,
    alerts.expected_low,
    alerts.expected_high,
    alerts.likelihood,
    alerts.evidence
from fct_customer_alerts as alerts
inner join dim_customers as customers on alerts.customer_id = customers.customer_id
where alerts.is_open and alerts.churn_rank is not null
order by alerts.churn_rank asc, alerts.points desc, alerts.signal asc
limit 100;
