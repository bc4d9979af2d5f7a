with

sums as (
    select * from {{ ref("int_kpi_sums") }}
),

periods as (
    select * from {{ ref("int_kpi_periods") }}
),

states as (
    select * from {{ ref("fct_kpi_states") }}
),

-- What holds on a day is known for a period that is over only if a run recorded it.
last_records as (
    select
        states.kpi,
        periods.period_type,
        periods.period_start,
        max(states.recorded_on) as recorded_on
    from states
    inner join periods
        on
            states.recorded_on >= periods.period_start
            and states.recorded_on < periods.period_end
    where periods.is_over
    group by states.kpi, periods.period_type, periods.period_start
),

found as (
    select
        kpi,
        period_type,
        period_start,
        slice_kind,
        slice,
        numerator,
        denominator
    from sums
    union all
    select
        states.kpi,
        last_records.period_type,
        last_records.period_start,
        states.slice_kind,
        states.slice,
        states.numerator,
        states.denominator
    from last_records
    inner join states
        on
            last_records.kpi = states.kpi
            and last_records.recorded_on = states.recorded_on
),

final as (
    select
        found.kpi,
        found.period_type,
        found.period_start,
        periods.period_end,
        periods.is_over,
        found.slice_kind,
        found.slice,
        found.numerator,
        found.denominator,
        cast(found.numerator as double) / cast(found.denominator as double) as value
    from found
    inner join periods
        on
            found.period_type = periods.period_type
            and found.period_start = periods.period_start
)

select * from final
