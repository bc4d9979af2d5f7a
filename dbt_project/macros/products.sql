{#- A setting of an optional part of the program as a SQL literal; null where it is left out. -#}
{% macro optional_setting(key, type="varchar") -%}
    cast({{ text_literal(optional_setting_text(key)) }} as {{ type }})
{%- endmacro %}

{#- A setting of an optional part of the program as text for Jinja; none where it is left out. -#}
{% macro optional_setting_text(key) -%}
    {%- if not execute -%}{{- return("1") -}}{%- endif -%}
    {%- set query -%}
        select value from program.settings where key = {{ text_literal(key) }}
    {%- endset -%}
    {%- set rows = program_rows(query) -%}
    {{- return(rows[0][0] if rows | length else none) -}}
{%- endmacro %}

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
