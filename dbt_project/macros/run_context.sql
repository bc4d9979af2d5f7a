{#-
    The run's clock and program, read from the one row of `run.context`. They are not variables:
    a variable that changes each day would make dbt parse the whole project again each day.
    While dbt parses, nothing can be read, and a placeholder is returned.
-#}
{% macro run_context(column) -%}
    {%- if not execute -%}{{- return("1970-01-01") -}}{%- endif -%}
    {%- set rows = program_rows("select cast(" ~ column ~ " as varchar) from run.context") -%}
    {%- if rows | length != 1 -%}
        {{- exceptions.raise_compiler_error(
            "run.context has " ~ (rows | length) ~ " rows instead of one; "
            ~ "the refresh writes it before dbt starts"
        ) -}}
    {%- endif -%}
    {{- return(rows[0][0]) -}}
{%- endmacro %}

{#- The moment up to which anything is seen, as a UTC timestamp literal. -#}
{% macro as_of_utc() -%}
    timestamp '{{ run_context("as_of_utc") }}'
{%- endmacro %}

{#- The program's local date of as_of, as a date literal. -#}
{% macro as_of_date() -%}
    date '{{ run_context("as_of_date") }}'
{%- endmacro %}

{#- The program's zone, as a text literal. -#}
{% macro zone() -%}
    {{- text_literal(run_context("zone")) -}}
{%- endmacro %}

{#- The program's currency, as a text literal. -#}
{% macro program_currency() -%}
    {{- text_literal(run_context("currency")) -}}
{%- endmacro %}
