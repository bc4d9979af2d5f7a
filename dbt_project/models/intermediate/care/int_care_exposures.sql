{%- set first = first_row({
    "exposed_at": "exposed_at",
    "arm": "arm",
    "holdout_share": "holdout_share",
    "conversion_event": "conversion_event",
    "counted_until": "counted_until",
    "period_counted_until": "period_counted_until",
}) -%}
{%- set program_share = setting("holdout.share", "double") -%}
{%- set default_window = setting("uplift.window_days", "integer") -%}
{%- set day_seconds = 86400 -%}

with

decided as (
    select
        *,
        case when holdout_scope = 'program' then 'holdout' else 'treated' end as program_arm
    from {{ source("ledger", "exposures") }}
    where
        as_of < {{ as_of_utc() }}
        and pack = {{ text_literal(run_context("pack")) }}
),

given as (
    select * from {{ ref("stg_exposures") }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

exposed as (
    select
        'rule' as experiment_kind,
        decided.rule as experiment,
        decided.customer_id,
        decided.as_of as exposed_at,
        decided.arm,
        cast(null as varchar) as period,
        coalesce(
            decided.holdout_share, 1 - (1 - {{ program_share }}) * (1 - coalesce(rules.holdout, 0))
        ) as holdout_share,
        coalesce(rules.conversion_event, 'order') as conversion_event,
        coalesce(rules.conversion_within_amount, {{ default_window }}) as window_amount,
        coalesce(rules.conversion_within_unit, 'd') as window_unit,
        case
            when rules.conversion_event is null then {{ default_window }} * {{ day_seconds }}
            else rules.conversion_within_seconds
        end as window_seconds
    from decided
    left join rules on decided.rule = rules.rule
    union all
    select
        'program' as experiment_kind,
        pack as experiment,
        customer_id,
        as_of as exposed_at,
        program_arm as arm,
        cast(null as varchar) as period,
        {{ program_share }} as holdout_share,
        'order' as conversion_event,
        {{ default_window }} as window_amount,
        'd' as window_unit,
        {{ default_window }} * {{ day_seconds }} as window_seconds
    from decided
    union all
    select
        'external' as experiment_kind,
        experiment,
        customer_id,
        exposed_at,
        arm,
        period,
        holdout_share,
        coalesce(conversion_event, 'order') as conversion_event,
        coalesce(window_days, {{ default_window }}) as window_amount,
        'd' as window_unit,
        coalesce(window_days, {{ default_window }}) * {{ day_seconds }} as window_seconds
    from given
),

dated as (
    select
        *,
        coalesce(period, substr(cast({{ local_date("exposed_at") }} as varchar), 1, 7))
            as period_exposed,
        {{ window_end("exposed_at", "window_amount", "window_unit", "window_seconds") }}
            as counted_until,
        -- A month is complete when the last customer who may still come up in it is.
        case when period is null then {{ window_end(
            day_start_utc(
                period_start("month", local_date("exposed_at")) ~ " + interval 1 month"
            ),
            "window_amount",
            "window_unit",
            "window_seconds"
        ) }} end as period_counted_until
    from exposed
),

-- The first exposure decides: so a customer counts once, and nothing that care brought about
-- can change the group.
units as (
    select
        experiment_kind,
        experiment,
        period_exposed as period,
        customer_id,
        {{ first }} as exposure
    from dated
    group by experiment_kind, experiment, period_exposed, customer_id
    union all
    select
        experiment_kind,
        experiment,
        'all' as period,
        customer_id,
        {{ first }} as exposure
    from dated
    group by experiment_kind, experiment, customer_id
),

final as (
    select
        experiment_kind,
        experiment,
        period,
        customer_id,
        {{ field_of("exposure", "exposed_at") }} as exposed_at,
        {{ field_of("exposure", "arm") }} as arm,
        {{ field_of("exposure", "holdout_share") }} as holdout_share,
        {{ field_of("exposure", "conversion_event") }} as conversion_event,
        {{ field_of("exposure", "counted_until") }} as counted_until,
        {{ field_of("exposure", "period_counted_until") }} as period_counted_until
    from units
)

select * from final
