{#- First local day of the program, of data if it is not said: a query with one row, started_on. -#}
{% macro kpi_start() -%}
    {%- set started_on = optional_setting_text("goals.started_on") if execute -%}
    {%- if started_on -%}
        select cast({{ text_literal(started_on) }} as date) as started_on
    {%- else -%}
        {%- set sources = {
            "int_orders": "ordered_at",
            "stg_interactions": "occurred_at",
            "stg_tickets": "opened_at",
            "stg_surveys": "answered_at",
        } %}
        select
            coalesce(
                {{ period_start("month", "min(" ~ local_date("earliest_at") ~ ")") }},
                {{ as_of_date() }}
            ) as started_on
        from (
            {%- for model, moment in sources.items() %}
            select min({{ moment }}) as earliest_at
            from {{ ref(model) }}
            where {{ moment }} >= timestamp '1990-01-01'
            {%- if not loop.last %}
            union all
            {%- endif %}
            {%- endfor %}
        ) as earliest
    {%- endif -%}
{%- endmacro %}

{#- Weeks that KPIs are counted for: 13 where the program asks for weeks, else none. -#}
{% macro kpi_weeks() -%}
    {%- if not execute -%}{{- return(13) -}}{%- endif -%}
    {%- set query -%}
        select every from program.kpi_targets where every = 'week'
        union
        select every from program.watched_kpis where every = 'week'
    {%- endset -%}
    {{- return(13 if program_rows(query) | length else 0) -}}
{%- endmacro %}

{#- Last local day that is seen: the day before as_of if that is a midnight. -#}
{% macro last_day_seen(as_of) -%}
    {{- local_date("(" ~ as_of ~ " - interval '1' microsecond)") -}}
{%- endmacro %}

{#-
    A bound of the 95 % confidence interval of a share by Wilson (1927), Probable inference, the
    law of succession, and statistical inference, JASA 22: direction is + or -.
-#}
{% macro wilson(direction, share, number) -%}
    {%- set z = 1.959963984540054 -%}
    greatest(0e0, least(1e0, (
        {{ share }} + {{ z * z / 2 }} / {{ number }}
        {{ direction }} {{ z }} * sqrt(greatest(
            {{ share }} * (1 - {{ share }}) / {{ number }}
            + {{ z * z / 4 }} / ({{ number }} * {{ number }}),
            0
        ))
    ) / (1 + {{ z * z }} / {{ number }})))
{%- endmacro %}

{#-
    Condition that a value is on a side of a limit: the direction of a target, or the better one of
    a KPI (higher, lower). What differs by rounding only is equal.
-#}
{% macro is_reached(value, direction, limit) -%}
    case
        when {{ direction }} in ('at_least', 'higher') then round({{ value }} - {{ limit }}, 9) >= 0
        when {{ direction }} = 'above' then round({{ value }} - {{ limit }}, 9) > 0
        when {{ direction }} in ('at_most', 'lower') then round({{ value }} - {{ limit }}, 9) <= 0
        when {{ direction }} = 'below' then round({{ value }} - {{ limit }}, 9) < 0
    end
{%- endmacro %}

{#- First day of a period such as 2026, 2026Q3 or 2026-07; null for another text. -#}
{% macro named_period_start(period) -%}
    cast(
        case
            when {{ finds(period, "^[0-9]{4}$") }} then {{ period }} || '-01-01'
            when {{ finds(period, "^[0-9]{4}-?[Qq][1-4]$") }} then
                left({{ period }}, 4) || case right({{ period }}, 1)
                    when '1' then '-01-01'
                    when '2' then '-04-01'
                    when '3' then '-07-01'
                    else '-10-01'
                end
            when {{ finds(period, "^[0-9]{4}-(0[1-9]|1[0-2])$") }} then {{ period }} || '-01'
        end as date
    )
{%- endmacro %}

{#- A target within what the KPI's unit can be: 25 % more than 90 % is not 112.5 % but 100 %. -#}
{% macro within_limits(target) -%}
    case
        when {{ target }} is not null
            then greatest(least({{ target }}, greatest_value), least_value)
    end
{%- endmacro %}
