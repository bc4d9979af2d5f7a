{%- set features = churn_feature_names() -%}

with

model as (
    select * from {{ ref("int_churn_model") }}
),

features as (
    select * from {{ ref("int_churn_features") }}
),

customer_value as (
    select * from {{ ref("int_customer_value") }}
),

scored as (
    select
        features.*,
        customer_value.churn_risk as order_model_risk,
        model.churn_model_run,
        model.churn_model_method,
        case
            when model.intercept is not null
                then
                    1 / (1 + exp(least(greatest(-({{ churn_log_odds("model") }}), -700), 700)))
        end as model_risk,
        {%- for name in features %}
        model.weight_{{ name }} * (features.{{ name }} - model.mean_{{ name }}) as {{ name }}_part,
        {%- endfor %}
        cume_dist() over (order by features.silence_days) as silence_rank
    from features
    cross join model
    left join customer_value on features.customer_id = customer_value.customer_id
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
