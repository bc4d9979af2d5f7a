-- Which customers are worth more than they have spent so far? High predicted value, not yet among
-- the best by spend, the most promising first.
select
    customer_id,
    segment,
    account_manager_id,
    spend_total,
    predicted_value,
    round(predicted_value_rank, 3) as predicted_value_rank,
    round(expected_orders, 1) as expected_orders,
    expected_order_value,
    round(100 * p_alive, 0) as still_a_customer_percent,
    favourite_category,
    preferred_channel,
    value_method
from dim_customers
where is_high_potential
order by predicted_value desc, customer_id asc
limit 100;
