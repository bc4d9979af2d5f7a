-- Scores of the value model: closed forms of Fader, Hardie & Lee (2008) and Fader & Hardie (2013).
create temp table value_by_customer as
with expected as (
    select
        customer_id,
        h.spend_total,
        case
            when r is null then null
            when repeats = 0 then 1
            else 1 / (1 + exp(least(
                ln(a / (b + repeats - 1))
                + (r + repeats) * ln((alpha * 7 + age_days) / (alpha * 7 + recency_days)),
                700
            )))
        end as p_alive,
        p_alive * orders_if_alive as expected_orders,
        p * (v + repeats * greatest(coalesce(mean_repeat_spend, 0), 0)) / (p * repeats + q - 1)
            as expected_order_value,
        case
            when method = 'history' then greatest(spend_long::double, 0) * (12 * 365.25 / 12) / 365
            else p_alive * discounted_orders_if_alive * expected_order_value
        end::decimal(18, 2) as predicted_value
    from histories as h
    cross join model
    left join factors using (repeats, age_days)
)
select
    customer_id,
    round(p_alive, 6) as p_alive,
    round(expected_orders, 6) as expected_orders,
    expected_order_value::decimal(18, 2) as expected_order_value,
    predicted_value,
    if(predicted_value is null, null, cume_dist() over (order by predicted_value nulls first))
        as predicted_value_rank,
    predicted_value_rank >= 0.8 and cume_dist() over (order by spend_total) <= 0.8
        as is_high_potential
from expected;
drop table histories;
