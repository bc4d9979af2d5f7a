{%- set horizon_days = "(" ~ setting("value.horizon_months", "double") ~ " * 365.25 / 12)" -%}

with

histories as (
    select * from {{ ref("int_purchase_histories") }}
),

model as (
    select * from {{ ref("int_value_model") }}
),

factors as (
    select * from {{ ref("int_value_factors") }}
),

alive as (
    select
        histories.customer_id,
        histories.repeats,
        histories.mean_repeat_spend,
        histories.spend_total,
        histories.spend_long,
        model.p,
        model.q,
        model.v,
        model.value_method,
        model.model_run,
        model.value_note,
        factors.orders_if_alive,
        factors.discounted_orders_if_alive,
        factors.quiet_if_alive,
        -- Closed form of Fader, Hardie & Lee (2008); see careloop.value.bg_nbd.
        case
            when model.r is null then null
            when histories.repeats = 0 then 1
            else 1 / (1 + exp(least(
                ln(model.a / (model.b + histories.repeats - 1))
                + (model.r + histories.repeats)
                * ln(
                    (model.alpha * model.unit_days + histories.age_days)
                    / (model.alpha * model.unit_days + histories.recency_days)
                ),
                700
            )))
        end as p_alive
    from histories
    cross join model
    left join factors
        on
            histories.repeats = factors.repeats
            and histories.age_days = factors.age_days
),

expected as (
    select
        *,
        p_alive * orders_if_alive as expected_orders,
        -- Closed form of Fader & Hardie (2013); repeat orders worth nothing count as 0.
        p * (v + repeats * greatest(coalesce(mean_repeat_spend, 0), 0)) / (p * repeats + q - 1)
            as expected_order_value,
        1 - p_alive + p_alive * quiet_if_alive as churn_risk
    from alive
),

valued as (
    select
        *,
        cast(case
            when value_method = 'history'
                then
                    greatest(cast(spend_long as double), 0)
                    * {{ horizon_days }} / {{ setting("profile.windows.long_days", "double") }}
            else p_alive * discounted_orders_if_alive * expected_order_value
        end as decimal(18, 2)) as predicted_value
    from expected
),

ranked as (
    select
        *,
        case
            when predicted_value is not null
                then cume_dist() over (order by predicted_value nulls first)
        end as predicted_value_rank,
        cume_dist() over (order by spend_total) as spend_rank
    from valued
),

final as (
    select
        customer_id,
        round(p_alive, 6) as p_alive,
        round(expected_orders, 6) as expected_orders,
        cast(expected_order_value as decimal(18, 2)) as expected_order_value,
        predicted_value,
        predicted_value_rank,
        case
            when predicted_value is not null
                then
                    predicted_value_rank
                    >= {{ setting("value.high_potential.min_predicted_rank", "double") }}
                    and spend_rank
                    <= {{ setting("value.high_potential.max_spend_rank", "double") }}
        end as is_high_potential,
        round(churn_risk, 6) as churn_risk,
        value_method,
        model_run as value_model_run,
        value_note
    from ranked
)

select * from final
