with

fit as (
    select * from {{ ref("int_churn_fit") }}
),

period as (
    select * from {{ ref("int_churn_period") }}
),

previous as (
    select * from {{ source("run", "previous_churn_model_runs") }}
),

usable as (
    select
        {{ text_literal("churn " ~ run_context("as_of_utc")) }} as churn_model_run,
        {{ as_of_utc() }} as as_of,
        {{ as_of_date() }} as as_of_on,
        {%- for name in churn_feature_names() %}
        weight_{{ name }},
        mean_{{ name }},
        {%- endfor %}
        intercept
    from fit
    where status = 'accepted'
    union all
    select
        previous.churn_model_run,
        previous.as_of,
        previous.as_of_on,
        {%- for name in churn_feature_names() %}
        previous.weight_{{ name }},
        previous.mean_{{ name }},
        {%- endfor %}
        previous.intercept
    from previous
    -- Weights are for the days they were fitted for, and for these features.
    inner join fit on previous.model = fit.model and previous.version = fit.version
    inner join period on previous.label_days = period.label_days
    where previous.status = 'accepted' and previous.as_of < {{ as_of_utc() }}
),

latest as (
    select *
    from usable
    qualify row_number() over (order by as_of desc, churn_model_run desc) = 1
),

final as (
    select
        latest.churn_model_run,
        {%- for name in churn_feature_names() %}
        latest.weight_{{ name }},
        latest.mean_{{ name }},
        {%- endfor %}
        latest.intercept,
        period.label_days,
        case
            when latest.churn_model_run is null then null
            when fit.status = 'accepted' then 'model'
            else 'last accepted model'
        end as churn_model_method
    from fit
    cross join period
    left join latest on true
)

select * from final
