with

targets as (
    select * from {{ source("program", "kpi_targets") }}
),

started as (
    {{ kpi_start() }}
),

-- A change is measured from what the pack says; a value with a deadline from what fits.
measured as (
    select
        targets.*,
        started.started_on,
        case
            when targets.baseline_value is not null then null
            when targets.baseline is not null then targets.baseline
            when targets.within_amount is null then null
            when targets.every = 'quarter' then 'start_quarter'
            when targets.every = 'year' then 'year_before_start'
            else 'start_month'
        end as measured_over
    from targets
    cross join started
),

final as (
    select
        position as target_no,
        id as target_id,
        kpi,
        every as period_type,
        case
            when touchpoint is not null then 'touchpoint'
            when stage is not null then 'stage'
            -- A share of customers in the segment, not of the segment.
            when segment is not null and kpi <> 'core_segment_share' then 'segment'
            when core_only then 'core'
            else 'all'
        end as slice_kind,
        case
            when touchpoint is not null then touchpoint
            when stage is not null then stage
            when segment is not null and kpi <> 'core_segment_share' then segment
            when core_only then 'core'
            else '(all)'
        end as slice,
        by_owner as is_by_owner,
        direction,
        value,
        change,
        stretch,
        critical as is_critical,
        started_on,
        case
            when within_amount is not null
                then {{ plus_units("started_on", "within_amount", "within_unit") }}
        end as due_on,
        measured_over,
        baseline_value,
        case measured_over
            when 'start_quarter' then 'quarter'
            when 'start_month' then 'month'
            when 'year_before_start' then 'year'
            when 'same_month_last_year' then every
        end as baseline_period_type,
        case measured_over
            when 'start_quarter' then {{ period_start("quarter", "started_on") }}
            when 'start_month' then {{ period_start("month", "started_on") }}
            when 'year_before_start' then {{ months_after("started_on", "-12") }}
        end as baseline_period_start,
        case measured_over
            when 'start_quarter'
                then {{ months_after(period_start("quarter", "started_on"), "3") }}
            when 'start_month'
                then {{ months_after(period_start("month", "started_on"), "1") }}
            when 'year_before_start' then started_on
        end as baseline_period_end
    from measured
)

select * from final
