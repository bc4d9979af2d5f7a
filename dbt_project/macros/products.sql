{#- The date so many days before as_of, unknown if the number is. -#}
{% macro days_ago(days) -%}
    {{- days_after(as_of_date(), "-(" ~ days ~ ")") -}}
{%- endmacro %}

{#- The date so many days after a date, unknown if one of them is. -#}
{% macro days_after(day, days) -%}
    cast({{ dbt.dateadd("day", days, day) }} as date)
{%- endmacro %}

{#-
    A number from 0 to below 1 that depends on a text only: whoever is below x is a sample of the
    share x, the same on every run.
-#}
{% macro share_by_hash(value) -%}
    {{- return(adapter.dispatch("share_by_hash", "careloop")(value)) -}}
{%- endmacro %}

{% macro default__share_by_hash(value) -%}
    (shiftrightunsigned(xxhash64({{ value }}), 32) / 4294967296)
{%- endmacro %}

{% macro duckdb__share_by_hash(value) -%}
    ((hash({{ value }}) >> 32) / 4294967296)
{%- endmacro %}
