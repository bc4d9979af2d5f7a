{%- set features = churn_feature_names() -%}

with

model as (
    select * from {{ ref("int_churn_model") }}
),

buyers as (
    select * from {{ ref("int_purchase_histories") }}
),

interactions as (
    select * from {{ ref("int_customer_interactions") }}
),

customer_value as (
    select * from {{ ref("int_customer_value") }}
),

all_buyers as (
    select sum(spend_total) / cast(count(*) as double) as mean_spend from buyers
),

known as (
    select
        buyers.customer_id,
        buyers.first_order_on,
        buyers.last_order_on,
        buyers.repeats + 1 as order_days,
        buyers.spend_total,
        all_buyers.mean_spend,
        model.label_days,
        interactions.interactions_total,
        {{ local_date("interactions.first_interaction_at") }} as first_interaction_on,
        {{ local_date("interactions.last_interaction_at") }} as last_interaction_on,
        customer_value.churn_risk as order_model_risk
    from buyers
    cross join model
    cross join all_buyers
    left join interactions on buyers.customer_id = interactions.customer_id
    left join customer_value on buyers.customer_id = customer_value.customer_id
),

featured as (
    select
        customer_id,
        order_model_risk,
        order_days,
        interactions_total,
        {{ days_since("first_order_on") }} as age_days,
        {{ days_since("last_order_on") }} as silence_days,
        {{ days_since("last_interaction_on") }} as interaction_silence_days,
        {{ churn_features(
            day=as_of_date(),
            horizon_days="label_days",
            order_days="order_days",
            last_order_on="last_order_on",
            spend="spend_total",
            mean_spend="mean_spend",
            interactions="interactions_total",
            last_interaction_on="last_interaction_on"
        ) }}
    from known
),

scored as (
    select
        featured.*,
        model.churn_model_run,
        model.churn_model_method,
        1 / (1 + exp(least(greatest(-({{ churn_log_odds("model") }}), -700), 700)))
            as model_risk,
        {%- for name in features %}
        model.weight_{{ name }} * (featured.{{ name }} - model.mean_{{ name }}) as {{ name }}_part,
        {%- endfor %}
        cume_dist() over (order by featured.silence_days) as silence_rank
    from featured
    cross join model
),

risen as (
    select
        *,
        greatest({{ features | join("_part, ") }}_part) as first_part
    from scored
),

placed as (
    select
        *,
        {{ churn_place("first_part") }} as first_place
    from risen
),

second as (
    select
        *,
        greatest(
            {%- for name in features %}
            case when first_place <> {{ loop.index }} then {{ name }}_part end
            {{- ", " if not loop.last }}
            {%- endfor %}
        ) as second_part
    from placed
),

explained as (
    select
        *,
        case
            when second_part > 0
                then {{ churn_place("second_part", besides="first_place") }}
        end as second_place
    from second
),

judged as (
    select
        customer_id,
        churn_model_run,
        round(coalesce(model_risk, order_model_risk, silence_rank), 6) as churn_risk,
        case
            when model_risk is not null then churn_model_method
            when order_model_risk is not null then 'order history model'
            else 'recency rank'
        end as churn_risk_method,
        case
            when model_risk is null then {{ churn_words("missed_orders_plain") }}
            when first_part > 0
                then
                    {{ churn_reason("first_place") }}
                    || coalesce('; ' || {{ churn_reason("second_place") }}, '')
        end as churn_risk_reason
    from explained
),

final as (
    select
        customer_id,
        churn_risk,
        churn_risk_method,
        cume_dist() over (order by churn_risk) as churn_risk_rank,
        churn_risk_reason,
        churn_model_run
    from judged
)

select * from final
