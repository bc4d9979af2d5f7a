{#- A column whose name is a word of SQL, quoted as the engine wants it. -#}
{% macro quoted(name) -%}
    {{- adapter.quote(name) -}}
{%- endmacro %}

{#- Seconds from one timestamp to another. -#}
{% macro seconds_between(earlier, later) -%}
    {{- return(adapter.dispatch("seconds_between", "careloop")(earlier, later)) -}}
{%- endmacro %}

{% macro default__seconds_between(earlier, later) -%}
    (unix_timestamp({{ later }}) - unix_timestamp({{ earlier }}))
{%- endmacro %}

{% macro duckdb__seconds_between(earlier, later) -%}
    ((epoch_us({{ later }}) - epoch_us({{ earlier }})) / 1000000)
{%- endmacro %}

{#- The same as a decimal, whose sums and averages do not depend on the order of the rows. -#}
{% macro exact_seconds_between(earlier, later) -%}
    cast({{ seconds_between(earlier, later) }} as decimal(18, 6))
{%- endmacro %}

{#- A JSON text with one key per column; unknown values are null. -#}
{% macro json_of(columns) -%}
    {{- return(adapter.dispatch("json_of", "careloop")(columns)) -}}
{%- endmacro %}

{% macro default__json_of(columns) -%}
    to_json(named_struct(
        {%- for column in columns %}'{{ column }}', {{ column }}{{ ", " if not loop.last }}{% endfor -%}
    ), map('ignoreNullFields', 'false'))
{%- endmacro %}

{% macro duckdb__json_of(columns) -%}
    cast(json_object(
        {%- for column in columns %}'{{ column }}', {{ column }}{{ ", " if not loop.last }}{% endfor -%}
    ) as varchar)
{%- endmacro %}

{#- Value of the row with the latest time; rows without a value are passed over. -#}
{% macro latest(value, time) -%}
    {{- return(adapter.dispatch("latest", "careloop")(value, time)) -}}
{%- endmacro %}

{% macro default__latest(value, time) -%}
    max_by({{ value }}, {{ time }}) filter (where {{ value }} is not null)
{%- endmacro %}

{% macro duckdb__latest(value, time) -%}
    arg_max({{ value }}, {{ time }})
{%- endmacro %}

{#- Value of the row with the earliest time; rows without a value are passed over. -#}
{% macro earliest(value, time) -%}
    {{- return(adapter.dispatch("earliest", "careloop")(value, time)) -}}
{%- endmacro %}

{% macro default__earliest(value, time) -%}
    min_by({{ value }}, {{ time }}) filter (where {{ value }} is not null)
{%- endmacro %}

{% macro duckdb__earliest(value, time) -%}
    arg_min({{ value }}, {{ time }})
{%- endmacro %}

{#- The texts of a group in the order given, joined by a separator. -#}
{% macro text_list(text, separator, order) -%}
    {{- return(adapter.dispatch("text_list", "careloop")(text, separator, order)) -}}
{%- endmacro %}

{% macro default__text_list(text, separator, order) -%}
    listagg({{ text }}, '{{ separator }}') within group (order by {{ order }})
{%- endmacro %}

{% macro duckdb__text_list(text, separator, order) -%}
    string_agg({{ text }}, '{{ separator }}' order by {{ order }})
{%- endmacro %}

{#-
    The row of a group that comes last when ordered by the columns, as a struct of them: a third
    of the time of a window over rows. columns: a mapping of name to expression, first counts most.
-#}
{% macro last_row(columns) -%}
    {{- return(adapter.dispatch("last_row", "careloop")(columns)) -}}
{%- endmacro %}

{% macro default__last_row(columns) -%}
    max(named_struct(
        {%- for name, value in columns.items() %}'{{ name }}', {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{% macro duckdb__last_row(columns) -%}
    max(struct_pack(
        {%- for name, value in columns.items() %}{{ name }} := {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{#- A column of the struct that last_row makes. -#}
{% macro field_of(row, name) -%}
    {{ row }}.{{ name }}
{%- endmacro %}

{#- The row that comes first when ordered by the columns; the counterpart of last_row. -#}
{% macro first_row(columns) -%}
    {{- return(adapter.dispatch("first_row", "careloop")(columns)) -}}
{%- endmacro %}

{% macro default__first_row(columns) -%}
    min(named_struct(
        {%- for name, value in columns.items() %}'{{ name }}', {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{% macro duckdb__first_row(columns) -%}
    min(struct_pack(
        {%- for name, value in columns.items() %}{{ name }} := {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{#- The value that a share of the rows is at or below, interpolated; unknown ones are left out. -#}
{% macro percentile(value, share) -%}
    percentile_cont({{ share }}) within group (order by {{ value }})
{%- endmacro %}

{#- Groups by several lists of columns in one pass; columns of other lists are null. -#}
{% macro grouping_sets() -%}
    grouping sets (
        {%- for columns in varargs %}({{ columns }}){{ ", " if not loop.last }}{% endfor -%}
    )
{%- endmacro %}
