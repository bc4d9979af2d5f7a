{%- set program_share = setting("holdout.share", "double") -%}
{%- set default_window = setting("uplift.window_days", "integer") -%}
{%- set month = period_start("month", local_date("as_of")) -%}
{%- set month_exposed = period_start("month", local_date("exposed_at")) -%}

with

decided as (
    select * from {{ source("ledger", "exposures") }}
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

-- The first exposure decides: so a customer counts once, and nothing that care brought about
-- can change the group.
decided_months as (
    select
        rule,
        customer_id,
        {{ month }} as month,
        min(as_of) filter (where arm = 'treated') as treated_at,
        min(as_of) filter (where arm = 'holdout') as holdout_at,
        min(as_of) filter (where coalesce(holdout_scope, '') <> 'program') as program_treated_at,
        min(as_of) filter (where holdout_scope = 'program') as program_holdout_at,
        {{ earliest("holdout_share", "as_of") }} as holdout_share
    from decided
    group by rule, customer_id, {{ month }}
),

given_periods as (
    select
        experiment,
        customer_id,
        period as wave,
        {{ month_exposed }} as month,
        min(exposed_at) filter (where arm = 'treated') as treated_at,
        min(exposed_at) filter (where arm = 'holdout') as holdout_at,
        max(holdout_share) as holdout_share,
        min(conversion_event) as conversion_event,
        min(window_days) as window_days
    from given
    group by experiment, customer_id, period, {{ month_exposed }}
),

units as (
    select
        'rule' as experiment_kind,
        rule as experiment,
        customer_id,
        month,
        cast(null as varchar) as wave,
        false as is_all,
        treated_at,
        holdout_at,
        holdout_share,
        cast(null as varchar) as conversion_event,
        cast(null as bigint) as window_days
    from decided_months
    union all
    select
        'rule' as experiment_kind,
        rule as experiment,
        customer_id,
        cast(null as date) as month,
        cast(null as varchar) as wave,
        true as is_all,
        min(treated_at) as treated_at,
        min(holdout_at) as holdout_at,
        {{ earliest("holdout_share", "month") }} as holdout_share,
        cast(null as varchar) as conversion_event,
        cast(null as bigint) as window_days
    from decided_months
    group by rule, customer_id
    union all
    select
        'program' as experiment_kind,
        {{ text_literal(run_context("pack")) }} as experiment,
        customer_id,
        month,
        cast(null as varchar) as wave,
        false as is_all,
        min(program_treated_at) as treated_at,
        min(program_holdout_at) as holdout_at,
        {{ program_share }} as holdout_share,
        'order' as conversion_event,
        {{ default_window }} as window_days
    from decided_months
    group by customer_id, month
    union all
    select
        'program' as experiment_kind,
        {{ text_literal(run_context("pack")) }} as experiment,
        customer_id,
        cast(null as date) as month,
        cast(null as varchar) as wave,
        true as is_all,
        min(program_treated_at) as treated_at,
        min(program_holdout_at) as holdout_at,
        {{ program_share }} as holdout_share,
        'order' as conversion_event,
        {{ default_window }} as window_days
    from decided_months
    group by customer_id
    union all
    -- A wave may last several months.
    select
        'external' as experiment_kind,
        experiment,
        customer_id,
        case when wave is null then month end as month,
        wave,
        false as is_all,
        min(treated_at) as treated_at,
        min(holdout_at) as holdout_at,
        max(holdout_share) as holdout_share,
        coalesce(min(conversion_event), 'order') as conversion_event,
        coalesce(min(window_days), {{ default_window }}) as window_days
    from given_periods
    group by experiment, customer_id, wave, case when wave is null then month end
    union all
    select
        'external' as experiment_kind,
        experiment,
        customer_id,
        cast(null as date) as month,
        cast(null as varchar) as wave,
        true as is_all,
        min(treated_at) as treated_at,
        min(holdout_at) as holdout_at,
        max(holdout_share) as holdout_share,
        coalesce(min(conversion_event), 'order') as conversion_event,
        coalesce(min(window_days), {{ default_window }}) as window_days
    from given_periods
    group by experiment, customer_id
),

months as (
    select distinct month from units
    where month is not null
),

month_ends as (
    select
        months.month,
        {{ day_start_utc("months.month + interval 1 month") }} as ends_at
    from months
),

windowed as (
    select
        units.experiment_kind,
        units.experiment,
        case
            when units.is_all then 'all'
            else coalesce(units.wave, substr(cast(units.month as varchar), 1, 7))
        end as period,
        units.customer_id,
        least(units.treated_at, units.holdout_at) as exposed_at,
        case
            when coalesce(units.holdout_at <= units.treated_at, units.treated_at is null)
                then 'holdout'
            else 'treated'
        end as arm,
        case
            when units.experiment_kind = 'rule'
                then coalesce(
                    units.holdout_share,
                    1 - (1 - {{ program_share }}) * (1 - coalesce(rules.holdout, 0))
                )
            else units.holdout_share
        end as holdout_share,
        coalesce(units.conversion_event, rules.conversion_event, 'order') as conversion_event,
        rules.conversion_within_amount as window_amount,
        rules.conversion_within_unit as window_unit,
        case
            when rules.conversion_event is not null then rules.conversion_within_seconds
            else coalesce(units.window_days, {{ default_window }}) * 86400
        end as window_seconds,
        month_ends.ends_at
    from units
    left join rules on units.experiment_kind = 'rule' and units.experiment = rules.rule
    left join month_ends on units.month = month_ends.month
),

final as (
    select
        experiment_kind,
        experiment,
        period,
        customer_id,
        exposed_at,
        arm,
        holdout_share,
        conversion_event,
        {{ window_end("exposed_at", "window_amount", "window_unit", "window_seconds") }}
            as counted_until,
        -- A month is complete when the last customer who may still come up in it is.
        {{ window_end("ends_at", "window_amount", "window_unit", "window_seconds") }}
            as period_counted_until
    from windowed
)

select * from final
