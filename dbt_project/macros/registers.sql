{#- Whether the program keeps a register; without it the register's mart stays empty. -#}
{% macro keeps_register(register) -%}
    {%- if not execute -%}{{- return("true") -}}{%- endif -%}
    {%- set query -%}
        select 1 as found from program.registers where id = {{ text_literal(register) }}
    {%- endset -%}
    {{- return("true" if program_rows(query) | length > 0 else "false") -}}
{%- endmacro %}
