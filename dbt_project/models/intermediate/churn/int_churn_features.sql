{{ config(materialized="view") }}

with

period as (
    select * from {{ ref("int_churn_period") }}
),

buyers as (
    select * from {{ ref("int_purchase_histories") }}
),

interactions as (
    select * from {{ ref("int_customer_interactions") }}
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
        period.label_days,
        coalesce(interactions.interactions_total, 0) as interactions_total,
        {{ local_date("interactions.first_interaction_at") }} as first_interaction_on,
        {{ local_date("interactions.last_interaction_at") }} as last_interaction_on
    from buyers
    cross join period
    cross join all_buyers
    left join interactions on buyers.customer_id = interactions.customer_id
),

final as (
    select
        customer_id,
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
)

select * from final
