{%- set before = {
    "dormant": setting_text("activity.dormant_days"),
    "lost": setting_text("activity.lost_days"),
    "community": setting_text("operation.community_days"),
} -%}

with

periods as (
    {{ kpi_period_bits() }}
),

spans as (
    select
        least(
            {%- for days in before.values() %}
            {{ days_after("min(period_start)", "-" ~ days) }}{{ "," if not loop.last }}
            {%- endfor %}
        ) as first_day
    from periods
),

days as (
    {{ date_series("(select first_day from spans)", as_of_date()) }}
),

final as (
    select
        days.day,
        {%- for name, length in before.items() %}
        coalesce(bit_or(case
            when
                days.day >= {{ days_after("periods.period_start", "-" ~ length) }}
                and days.day < periods.period_start
                then periods.bit
        end), 0) as before_{{ name }},
        {%- endfor %}
        coalesce(bit_or(case
            when days.day >= periods.period_start and days.day < periods.period_end
                then periods.bit
        end), 0) as in_periods
    from days
    cross join periods
    group by days.day
)

select * from final
