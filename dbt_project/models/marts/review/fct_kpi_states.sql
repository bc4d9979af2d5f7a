{%- set recorded_on = last_day_seen(as_of_utc()) -%}

with

previous as (
    select * from {{ source("run", "previous_kpi_states") }}
    where as_of < {{ as_of_utc() }} and recorded_on < {{ recorded_on }}
),

sums as (
    select * from {{ ref("int_kpi_sums") }}
),

kpis as (
    select * from {{ source("program", "kpis") }}
    where is_state
),

-- Old days are thinned: of a week and of a month the last one stays.
days as (
    select
        recorded_on,
        max(recorded_on) over (partition by {{ period_start("week", "recorded_on") }})
            as last_of_week,
        max(recorded_on) over (partition by {{ period_start("month", "recorded_on") }})
            as last_of_month
    from (select distinct recorded_on from previous) as recorded
),

kept as (
    select recorded_on from days
    where
        recorded_on in (last_of_week, last_of_month)
        or recorded_on > {{ days_after(recorded_on, "-62") }}
),

final as (
    select
        previous.recorded_on,
        previous.kpi,
        previous.slice_kind,
        previous.slice,
        previous.numerator,
        previous.denominator,
        previous.as_of
    from previous
    inner join kept on previous.recorded_on = kept.recorded_on
    union all
    select
        {{ recorded_on }} as recorded_on,
        sums.kpi,
        sums.slice_kind,
        sums.slice,
        sums.numerator,
        sums.denominator,
        {{ as_of_utc() }} as as_of
    from sums
    inner join kpis on sums.kpi = kpis.kpi
    where
        sums.period_type = 'month'
        and sums.period_start = {{ period_start("month", as_of_date()) }}
)

select * from final
