with

period as (
    select * from {{ ref("int_churn_period") }}
),

buyers as (
    select * from {{ ref("int_purchase_histories") }}
    where cutoff_order_days > 0
),

interactions as (
    select * from {{ ref("int_customer_interactions") }}
    where interactions_before_cutoff > 0
),

all_buyers as (
    select sum(cutoff_spend) / cast(count(*) as double) as mean_spend from buyers
),

-- The same customers on every run and machine.
sampled as (
    select *
    from buyers
    order by md5(customer_id), customer_id
    limit {{ setting("value.churn_model.max_sampled_customers", "integer") }}
),

known as (
    select
        sampled.customer_id,
        sampled.first_order_on,
        sampled.last_order_on,
        sampled.cutoff_order_days,
        sampled.cutoff_last_order_on,
        sampled.cutoff_spend,
        all_buyers.mean_spend,
        period.cutoff_on,
        period.label_days,
        interactions.interactions_before_cutoff,
        {{ local_date("interactions.first_interaction_at") }} as first_interaction_on,
        {{ local_date("interactions.last_interaction_before_cutoff_at") }} as last_interaction_on
    from sampled
    cross join period
    cross join all_buyers
    left join interactions on sampled.customer_id = interactions.customer_id
),

final as (
    select
        customer_id,
        case when last_order_on < cutoff_on then 1 else 0 end as has_left,
        {{ days_between("cutoff_last_order_on", "cutoff_on") }} as silence_days,
        cutoff_order_days as order_days,
        cutoff_spend as spend_total,
        {{ churn_features(
            day="cutoff_on",
            horizon_days="label_days",
            order_days="cutoff_order_days",
            last_order_on="cutoff_last_order_on",
            spend="cutoff_spend",
            mean_spend="mean_spend",
            interactions="interactions_before_cutoff",
            last_interaction_on="last_interaction_on"
        ) }}
    from known
)

select * from final
