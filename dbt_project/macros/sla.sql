{#- Whether a clock of today's pack or of the history has that start, as a literal. -#}
{% macro sla_starts_with(start) -%}
    {%- if not execute -%}{{- return("true") -}}{%- endif -%}
    {%- set query -%}
        select starts from program.sla_clocks
        union
        select starts from run.previous_sla_targets
        order by starts
    {%- endset -%}
    {{- return("true" if start in (program_rows(query) | map(attribute=0)) else "false") -}}
{%- endmacro %}

{#-
    Whether a clock of today's pack or of the history is only for some values of a dimension of
    the customer (segment, stage, tier), as a literal.
-#}
{% macro sla_asks_for(dimension) -%}
    {%- if not execute -%}{{- return("true") -}}{%- endif -%}
    {%- set query -%}
        select distinct starts from (
            select starts, {{ dimension }}s as listing from program.sla_clocks
            union all
            select starts, {{ dimension }}s as listing from run.previous_sla_targets
        )
        where
            listing <> ''
            and starts not in ('ticket_opened', 'handed_over', 'ticket_solved', 'ticket_overdue')
    {%- endset -%}
    {{- return("true" if program_rows(query) | length else "false") -}}
{%- endmacro %}

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

{#- When a clock that somebody forgot is given up: so many days after it started. -#}
{% macro lapses_at(started_at) -%}
    ({{ started_at }} + interval '{{ setting_text("closed_loop.lapse_days") }}' day)
{%- endmacro %}

{#-
    Whether a message asks how satisfied the customer is: its purpose is survey, or success of its
    rule in today's pack is an answer.
-#}
{% macro asks_for_survey(purpose, rule) -%}
    {%- set query -%}
        select rule
        from program.rules
        where conversion_event = 'survey_answer'
        order by rule
    {%- endset -%}
    {%- set rules = [] -%}
    {%- for row in (program_rows(query) if execute else []) -%}
        {%- do rules.append(text_literal(row[0])) -%}
    {%- endfor -%}
    ({{ purpose }} = 'survey'
    {%- if rules %} or {{ rule }} in ({{ rules | join(", ") }}){% endif %})
{%- endmacro %}
