{#-
    A list of the program, which its tables hold as `b, a`, as the text `|a|b|` in which a value
    is found by `like '%|a|%'`; null for an empty one. The order in the pack makes no difference.
-#}
{% macro value_set(listing) -%}
    {{- return(adapter.dispatch("value_set", "careloop")(listing)) -}}
{%- endmacro %}

{% macro default__value_set(listing) -%}
    case
        when {{ listing }} <> ''
            then '|' || array_join(array_sort(split({{ listing }}, ', ')), '|') || '|'
    end
{%- endmacro %}

{% macro duckdb__value_set(listing) -%}
    case
        when {{ listing }} <> ''
            then '|' || array_to_string(list_sort(string_split({{ listing }}, ', ')), '|') || '|'
    end
{%- endmacro %}
