{#- Whole seconds since 1970 of a UTC timestamp: a clock counts to the second. -#}
{% macro epoch_second(timestamp_utc) -%}
    {{- return(adapter.dispatch("epoch_second", "careloop")(timestamp_utc)) -}}
{%- endmacro %}

{% macro default__epoch_second(timestamp_utc) -%}
    unix_timestamp({{ timestamp_utc }})
{%- endmacro %}

{% macro duckdb__epoch_second(timestamp_utc) -%}
    (epoch_us({{ timestamp_utc }}) // 1000000)
{%- endmacro %}

{#- The UTC timestamp of whole seconds since 1970. -#}
{% macro second_at(seconds) -%}
    {{- return(adapter.dispatch("second_at", "careloop")(seconds)) -}}
{%- endmacro %}

{% macro default__second_at(seconds) -%}
    timestamp_seconds({{ seconds }})
{%- endmacro %}

{% macro duckdb__second_at(seconds) -%}
    make_timestamp({{ seconds }} * 1000000)
{%- endmacro %}

{#- Number of the hour that a second lies in. -#}
{% macro hour_no(seconds) -%}
    {{- return(adapter.dispatch("hour_no", "careloop")(seconds)) -}}
{%- endmacro %}

{% macro default__hour_no(seconds) -%}
    (({{ seconds }}) div 3600)
{%- endmacro %}

{% macro duckdb__hour_no(seconds) -%}
    (({{ seconds }}) // 3600)
{%- endmacro %}

{#- One row per whole number from the first to the last. -#}
{% macro each_number(first, last) -%}
    {{- return(adapter.dispatch("each_number", "careloop")(first, last)) -}}
{%- endmacro %}

{% macro default__each_number(first, last) -%}
    explode(sequence({{ first }}, {{ last }}))
{%- endmacro %}

{% macro duckdb__each_number(first, last) -%}
    unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}

{#-
    Condition that a row of int_service_hours holds for a second. Joining by the hour is a join of
    equals with one or two rows an hour, four times as fast as an as-of join, which sorts.
-#}
{% macro in_service_hour(hours, seconds) -%}
    {{ hours }}.hour_no = {{ hour_no(seconds) }}
    and {{ hours }}.from_second <= {{ seconds }}
    and {{ hours }}.until_second > {{ seconds }}
{%- endmacro %}

{#- B(t): working seconds from the beginning of the calendar to a second in a row of int_service_hours. -#}
{% macro worked_at(hours, seconds) -%}
    ({{ hours }}.worked_before + least({{ seconds }}, {{ hours }}.closes_second) - {{ hours }}.from_second)
{%- endmacro %}

{#- The last second at which B is so many working seconds, from the row of int_worked_hours it lies in. -#}
{% macro last_second_of(hours, worked) -%}
    ({{ hours }}.opens_second + {{ worked }} - {{ hours }}.from_worked)
{%- endmacro %}

{#- The first such second: the end of a working time, not the beginning of the next. -#}
{% macro first_second_of(hours, worked) -%}
    case
        when {{ worked }} > {{ hours }}.from_worked then {{ last_second_of(hours, worked) }}
        else {{ hours }}.closed_second
    end
{%- endmacro %}

{#- Condition that a list such as |a|b| is empty (null) or holds a value. -#}
{% macro empty_or_holds(list, value) -%}
    ({{ list }} is null or coalesce(position('|' || {{ value }} || '|' in {{ list }}) > 0, false))
{%- endmacro %}

{#- A list of the program's tables (a, b) as |a|b|; null if empty. -#}
{% macro barred(list) -%}
    ('|' || replace(nullif({{ list }}, ''), ', ', '|') || '|')
{%- endmacro %}

{#- Seconds of a target when the owner is warned: the share of it, to the next whole second. -#}
{% macro warned_after(share, seconds) -%}
    cast(ceil(cast({{ share }} as decimal(9, 4)) * {{ seconds }}) as bigint)
{%- endmacro %}

{#- Condition that a row of int_worked_hours holds for a number of working seconds. -#}
{% macro in_worked_hour(hours, worked) -%}
    {{ hours }}.hour_no = {{ hour_no(worked) }}
    and {{ hours }}.from_worked <= {{ worked }}
    and {{ hours }}.until_worked > {{ worked }}
{%- endmacro %}
