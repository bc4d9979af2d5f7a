{%- set today = text_literal(run_context("as_of_date")) -%}

with

fit as (
    select * from {{ ref("int_value_fit") }}
),

previous as (
    select * from {{ source("run", "previous_model_runs") }}
),

usable as (
    select
        {{ text_literal("value " ~ run_context("as_of_utc")) }} as model_run,
        {{ as_of_utc() }} as as_of,
        {{ as_of_date() }} as as_of_on,
        r,
        alpha,
        a,
        b,
        p,
        q,
        v
    from fit
    where status = 'accepted'
    union all
    -- Data that no longer suit the model make its earlier fits useless too.
    select
        previous.model_run,
        previous.as_of,
        previous.as_of_on,
        previous.r,
        previous.alpha,
        previous.a,
        previous.b,
        previous.p,
        previous.q,
        previous.v
    from previous
    inner join fit
        on
            previous.model = fit.model
            and previous.version = fit.version
            and previous.time_unit = fit.time_unit
    where
        fit.status = 'rejected'
        and previous.status = 'accepted'
        and previous.as_of < {{ as_of_utc() }}
),

latest as (
    select *
    from usable
    qualify row_number() over (order by as_of desc, model_run desc) = 1
),

final as (
    select
        latest.model_run,
        latest.r,
        latest.alpha,
        latest.a,
        latest.b,
        latest.p,
        latest.q,
        latest.v,
        fit.unit_days,
        case
            when latest.model_run is null and fit.fallback = 'history' then 'history'
            when latest.model_run is not null and fit.status = 'accepted' then 'model'
            when latest.model_run is not null then 'last accepted model'
        end as value_method,
        case
            when fit.status = 'accepted' then 'model of ' || {{ today }}
            when latest.model_run is not null
                then
                    'model of ' || cast(latest.as_of_on as varchar)
                    || ', because that of ' || {{ today }} || ' was not accepted: '
                    || fit.reasons
            when fit.fallback = 'history'
                then
                    'spend of the last ' || {{ setting("profile.windows.long_days") }}
                    || ' days, scaled to ' || {{ setting("value.horizon_months") }}
                    || ' months, because ' || fit.reasons
            else 'unknown, because ' || fit.reasons
        end as value_note
    from fit
    left join latest on true
)

select * from final
