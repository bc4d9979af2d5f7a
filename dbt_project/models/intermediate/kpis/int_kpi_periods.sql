{%- set today = as_of_date() -%}
{%- set months = setting_text("operation.kpi_months") | int -%}
{%- set quarters = setting_text("operation.kpi_quarters") | int -%}
{%- set weeks = kpi_weeks() | int -%}
{%- set quarter = period_start("quarter", today) -%}
{#- Periods of months: a day, the months from it to beginning and end, how many periods back. -#}
{%- set of_months = {
    "month": [period_start("month", today), "-number", "1 - number", months],
    "quarter": [quarter, "-3 * number", "3 - 3 * number", quarters],
    "year": [quarter, "-9 - 3 * number", "3 - 3 * number", quarters],
} -%}

with

targets as (
    select * from {{ ref("int_kpi_targets") }}
),

numbers as (
    select {{ each_number(0, [months, quarters, weeks] | max) }} as number
),

listed as (
    {%- for kind, (day, first_month, end_month, past) in of_months.items() %}
    select
        '{{ kind }}' as period_type,
        {{ months_after(day, first_month) }} as period_start,
        {{ months_after(day, end_month) }} as period_end
    from numbers
    where number <= {{ past }}
    union all
    {%- endfor %}
    select
        'year' as period_type,
        {{ months_after(days_after(today, "1"), "-12") }} as period_start,
        {{ days_after(today, "1") }} as period_end
    union all
    select
        'week' as period_type,
        {{ days_after(period_start("week", today), "-7 * number") }} as period_start,
        {{ days_after(period_start("week", today), "7 - 7 * number") }} as period_end
    from numbers
    where number < {{ weeks }}
),

baselines as (
    select
        baseline_period_type as period_type,
        baseline_period_start as period_start,
        baseline_period_end as period_end
    from targets
    where baseline_period_start is not null
    union all
    select
        listed.period_type,
        {{ months_after("listed.period_start", "-12") }} as period_start,
        {{ months_after("listed.period_end", "-12") }} as period_end
    from listed
    inner join targets on listed.period_type = targets.period_type
    where targets.measured_over = 'same_month_last_year'
),

periods as (
    select
        period_type,
        period_start,
        max(period_end) as period_end
    from (
        select * from listed
        union all
        select * from baselines
    ) as found
    where period_start <= {{ today }}
    group by period_type, period_start
),

timed as (
    select
        *,
        {{ day_start_utc("period_start") }} as starts_at,
        {{ day_start_utc("period_end") }} as ends_at
    from periods
),

final as (
    select
        period_type,
        period_start,
        period_end,
        starts_at,
        ends_at,
        least(ends_at, {{ as_of_utc() }}) as seen_until,
        ends_at <= {{ as_of_utc() }} as is_over
    from timed
)

select * from final
