with

previous as (
    select * from {{ source("run", "previous_model_runs") }}
),

fit as (
    select * from {{ ref("int_value_fit") }}
),

period as (
    select * from {{ ref("int_value_period") }}
),

model as (
    select * from {{ ref("int_value_model") }}
),

final as (
    select
        model_run,
        as_of,
        as_of_on,
        model,
        version,
        status,
        reasons,
        reasons_zh,
        is_used,
        used_model_run,
        time_unit,
        r,
        alpha,
        a,
        b,
        log_likelihood,
        p,
        q,
        v,
        spend_log_likelihood,
        customers,
        repeat_customers,
        interval_variation,
        calibration_end_on,
        holdout_days,
        holdout_customers,
        holdout_repeat_customers,
        holdout_predicted,
        holdout_actual,
        holdout_error,
        holdout_correlation,
        holdout_rmse,
        pack_hash
    from previous
    where as_of < {{ as_of_utc() }}
    union all
    select
        {{ text_literal("value " ~ run_context("as_of_utc")) }} as model_run,
        {{ as_of_utc() }} as as_of,
        {{ as_of_date() }} as as_of_on,
        fit.model,
        fit.version,
        fit.status,
        fit.reasons,
        fit.reasons_zh,
        fit.status = 'accepted' as is_used,
        model.model_run as used_model_run,
        fit.time_unit,
        fit.r,
        fit.alpha,
        fit.a,
        fit.b,
        fit.log_likelihood,
        fit.p,
        fit.q,
        fit.v,
        fit.spend_log_likelihood,
        fit.customers,
        fit.repeat_customers,
        fit.interval_variation,
        period.calibration_end_on,
        period.holdout_days,
        fit.holdout_customers,
        fit.holdout_repeat_customers,
        fit.holdout_predicted,
        fit.holdout_actual,
        fit.holdout_error,
        fit.holdout_correlation,
        fit.holdout_rmse,
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from fit
    cross join period
    cross join model
)

select * from final
