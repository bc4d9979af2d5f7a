{%- set enough = setting("operation.min_sample", "integer") -%}

with

targets as (
    select * from {{ ref("int_kpi_targets") }}
),

periods as (
    select * from {{ ref("int_kpi_periods") }}
),

kpi_values as (
    select * from {{ ref("int_kpi_values") }}
),

kpis as (
    select * from {{ source("program", "kpis") }}
),

-- The program began before the period was over; a baseline may move along with the period.
timed as (
    select
        targets.*,
        kpis.better,
        kpis.least_value,
        kpis.greatest_value,
        case when kpis.is_state then 1 else {{ enough }} end as enough,
        periods.period_start,
        periods.period_end,
        periods.is_over,
        least(periods.period_end, {{ as_of_date() }}) as judged_on,
        case
            when targets.measured_over = 'same_month_last_year'
                then {{ months_after("periods.period_start", "-12") }}
            else targets.baseline_period_start
        end as measured_from
    from targets
    inner join kpis on targets.kpi = kpis.kpi
    inner join periods
        on
            targets.period_type = periods.period_type
            and targets.started_on < periods.period_end
),

owners as (
    select distinct
        kpi,
        period_type,
        period_start,
        slice_kind,
        slice
    from kpi_values
    where slice_kind = 'owner' and slice <> '(unknown)'
),

slices as (
    select
        target_id,
        period_start,
        slice_kind as judged_kind,
        slice as judged_slice
    from timed
    union all
    select
        timed.target_id,
        timed.period_start,
        owners.slice_kind as judged_kind,
        owners.slice as judged_slice
    from timed
    inner join owners
        on
            timed.is_by_owner
            and timed.kpi = owners.kpi
            and timed.period_type = owners.period_type
            and timed.period_start = owners.period_start
),

measured as (
    select
        timed.*,
        slices.judged_kind,
        slices.judged_slice,
        kpi_values.numerator,
        kpi_values.denominator,
        kpi_values.value as reached_value,
        coalesce(
            timed.baseline_value,
            case when baselines.denominator >= timed.enough then baselines.value end
        ) as baseline
    from timed
    inner join slices
        on timed.target_id = slices.target_id and timed.period_start = slices.period_start
    left join kpi_values
        on
            timed.kpi = kpi_values.kpi
            and timed.period_type = kpi_values.period_type
            and timed.period_start = kpi_values.period_start
            and slices.judged_kind = kpi_values.slice_kind
            and slices.judged_slice = kpi_values.slice
    left join kpi_values as baselines
        on
            timed.kpi = baselines.kpi
            and timed.baseline_period_type = baselines.period_type
            and timed.measured_from = baselines.period_start
            and slices.judged_kind = baselines.slice_kind
            and slices.judged_slice = baselines.slice
),

aimed as (
    select
        *,
        {{ within_limits("coalesce(value, baseline * (1 + change))") }} as target,
        {{ within_limits(
            "case when value is null then baseline * (1 + stretch) else stretch end"
        ) }} as stretch_target,
        coalesce(judged_on < due_on, false) as is_ahead
    from measured
),

-- On the straight line from the baseline at the start to the target at the deadline.
expected as (
    select
        *,
        case
            when not is_ahead then target
            else
                baseline + (target - baseline)
                * cast({{ days_between("started_on", "judged_on") }} as double)
                / {{ days_between("started_on", "due_on") }}
        end as expected_now
    from aimed
),

final as (
    select
        target_id,
        target_no,
        kpi,
        period_type,
        period_start,
        period_end,
        is_over,
        judged_kind as slice_kind,
        judged_slice as slice,
        direction,
        is_critical,
        started_on,
        due_on,
        numerator,
        denominator,
        reached_value as value,
        target,
        stretch_target as stretch,
        baseline,
        case when baseline is not null then baseline_period_type end as baseline_period_type,
        case when baseline is not null then measured_from end as baseline_period_start,
        expected_now,
        case
            when better = 'higher' and target > 0 then reached_value / target
            when better = 'lower' and reached_value > 0 then target / reached_value
        end as attainment,
        case
            when reached_value is null or denominator < enough then 'not_enough_data'
            when {{ is_reached("reached_value", "direction", "target") }} then 'met'
            when target is null then 'not_enough_data'
            when not is_ahead then 'missed'
            when baseline is null then 'not_enough_data'
            when {{ is_reached("reached_value", "better", "expected_now") }} then 'on_track'
            else 'missed'
        end as state
    from expected
)

select * from final
