with

previous as (
    select * from {{ source("run", "previous_churn_model_runs") }}
),

fit as (
    select * from {{ ref("int_churn_fit") }}
),

period as (
    select * from {{ ref("int_churn_period") }}
),

model as (
    select * from {{ ref("int_churn_model") }}
),

histories as (
    select * from {{ ref("int_purchase_histories") }}
),

counted as (
    select count(*) as buyers
    from histories
    where cutoff_order_days > 0
),

final as (
    select
        churn_model_run,
        as_of,
        as_of_on,
        model,
        version,
        status,
        reasons,
        reasons_zh,
        is_used,
        used_churn_model_run,
        cutoff_on,
        label_days,
        buyers,
        sampled_customers,
        leavers,
        base_rate,
        auc,
        auc_recency,
        auc_rfm,
        top_decile,
        top_decile_recency,
        top_decile_rfm,
        brier,
        mean_predicted,
        intercept,
        {%- for name in churn_feature_names() %}
        weight_{{ name }},
        {%- endfor %}
        {%- for name in churn_feature_names() %}
        mean_{{ name }},
        {%- endfor %}
        pack_hash
    from previous
    where as_of < {{ as_of_utc() }}
    union all
    select
        {{ text_literal("churn " ~ run_context("as_of_utc")) }} as churn_model_run,
        {{ as_of_utc() }} as as_of,
        {{ as_of_date() }} as as_of_on,
        fit.model,
        fit.version,
        fit.status,
        fit.reasons,
        fit.reasons_zh,
        fit.status = 'accepted' as is_used,
        model.churn_model_run as used_churn_model_run,
        period.cutoff_on,
        period.label_days,
        counted.buyers,
        fit.sampled_customers,
        fit.leavers,
        fit.base_rate,
        fit.auc,
        fit.auc_recency,
        fit.auc_rfm,
        fit.top_decile,
        fit.top_decile_recency,
        fit.top_decile_rfm,
        fit.brier,
        fit.mean_predicted,
        fit.intercept,
        {%- for name in churn_feature_names() %}
        fit.weight_{{ name }},
        {%- endfor %}
        {%- for name in churn_feature_names() %}
        fit.mean_{{ name }},
        {%- endfor %}
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from fit
    cross join period
    cross join model
    cross join counted
)

select * from final
