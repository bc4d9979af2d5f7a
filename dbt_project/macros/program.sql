{#-
    Rows of a small query on the program or the run, asked once per dbt invocation: the tables do
    not change while dbt runs, and asking anew for each of some 200 uses costs 2 s. The answers
    are kept in `graph`, the one thing that lives exactly as long as an invocation.
-#}
{% macro program_rows(query) -%}
    {%- set answers = graph.setdefault("careloop_answers", {}) -%}
    {%- if query not in answers -%}
        {%- do answers.update({query: run_query(query).rows}) -%}
    {%- endif -%}
    {{- return(answers[query]) -}}
{%- endmacro %}

{#- A text literal; null stays null. -#}
{% macro text_literal(value) -%}
    {%- if value is none -%}null{%- else -%}'{{ value | replace("'", "''") }}'{%- endif -%}
{%- endmacro %}

{#- The program's setting at a dotted path such as `rfm.bins`, as text for use in Jinja. -#}
{% macro setting_text(key) -%}
    {%- if not execute -%}{{- return("1") -}}{%- endif -%}
    {%- set query -%}
        select value from program.settings where key = {{ text_literal(key) }}
    {%- endset -%}
    {%- set rows = program_rows(query) -%}
    {%- if rows | length != 1 or rows[0][0] is none -%}
        {{- exceptions.raise_compiler_error(
            "the program has no setting `" ~ key ~ "`, which " ~ this.name ~ " needs; "
            ~ "see `careloop program check`"
        ) -}}
    {%- endif -%}
    {{- return(rows[0][0]) -}}
{%- endmacro %}

{#- The program's setting at a dotted path as a SQL literal of a SQL type. -#}
{% macro setting(key, type="varchar") -%}
    cast({{ text_literal(setting_text(key)) }} as {{ type }})
{%- endmacro %}

{#- A setting of an optional part of the program as text for Jinja; `otherwise` without it. -#}
{% macro optional_setting_text(key, otherwise=none) -%}
    {%- if not execute -%}{{- return("1" if otherwise is none else otherwise) -}}{%- endif -%}
    {%- set query -%}
        select value from program.settings where key = {{ text_literal(key) }}
    {%- endset -%}
    {%- set rows = program_rows(query) -%}
    {{- return(rows[0][0] if rows | length == 1 else otherwise) -}}
{%- endmacro %}

{#- The same as a SQL literal of a SQL type; null where the part is left out. -#}
{% macro optional_setting(key, type="varchar") -%}
    cast({{ text_literal(optional_setting_text(key)) }} as {{ type }})
{%- endmacro %}

{#- The texts of a list in the program, as SQL literals for use in `in (…)`. -#}
{% macro setting_list(key) -%}
    {%- if not execute -%}{{- return("''") -}}{%- endif -%}
    {%- set query -%}
        select value from program.settings
        where key like {{ text_literal(key ~ ".%") }}
        order by value
    {%- endset -%}
    {%- set texts = [] -%}
    {%- for row in program_rows(query) -%}{%- do texts.append(text_literal(row[0])) -%}{%- endfor -%}
    {{- return(texts | join(", ") if texts else "null") -}}
{%- endmacro %}

{#-
    Rows of an ordered list of the program (segments, stages, activity_levels), in the order they
    are tried. Each has position, name, condition_sql, reason_sql and is_default.
-#}
{% macro ordered_rules(list_name) -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {%- set names = {"segments": "segment", "stages": "stage", "activity_levels": "level"} -%}
    {%- set query -%}
        select
            position,
            {{ names[list_name] }} as name,
            condition_sql,
            reason_sql,
            is_default
        from program.{{ list_name }}
        order by position
    {%- endset -%}
    {%- set rules = program_rows(query) -%}
    {%- if rules | length == 0 or not rules[-1]["is_default"] -%}
        {{- exceptions.raise_compiler_error(
            "the program's " ~ list_name ~ " must end with one without a condition, "
            ~ "so that every customer is in one; see `careloop program check`"
        ) -}}
    {%- endif -%}
    {{- return(rules) -}}
{%- endmacro %}

{#-
    Position of the first rule of the list whose condition holds. The last rule has no
    condition, so every row gets exactly one position.
-#}
{% macro first_matching(list_name) -%}
    {%- set rules = ordered_rules(list_name) -%}
    {%- if rules | length < 2 -%}
        {{ rules[0]["position"] if rules else 1 }}
    {%- else -%}
        case
            {%- for rule in rules if not rule["is_default"] %}
            when {{ rule["condition_sql"] }} then {{ rule["position"] }}
            {%- endfor %}
            else {{ rules[-1]["position"] }}
        end
    {%- endif -%}
{%- endmacro %}

{#- Name of the rule at a position found by first_matching. -#}
{% macro rule_name(list_name, position) -%}
    case {{ position }}
        {%- for rule in ordered_rules(list_name) %}
        when {{ rule["position"] }} then {{ text_literal(rule["name"]) }}
        {%- else %}
        when 1 then ''
        {%- endfor %}
    end
{%- endmacro %}

{#- Why the rule at a position applies: its condition with the row's own values. -#}
{% macro rule_reason(list_name, position) -%}
    case {{ position }}
        {%- for rule in ordered_rules(list_name) %}
        when {{ rule["position"] }} then {{ rule["reason_sql"] }}
        {%- else %}
        when 1 then ''
        {%- endfor %}
    end
{%- endmacro %}

{#- Names of the measures that the conditions of a list look at, sorted. -#}
{% macro condition_measures(list_name) -%}
    {%- set words_of_sql = [
        "all", "and", "any", "chr", "coalesce", "false", "in", "is", "not", "null", "or", "true",
    ] -%}
    {%- set measures = [] -%}
    {%- for rule in ordered_rules(list_name) -%}
        {%- set without_texts = modules.re.sub("'[^']*'", "", rule["condition_sql"]) -%}
        {%- for word in modules.re.findall("[a-z][a-z0-9_]*", without_texts) -%}
            {%- if word not in words_of_sql and word not in measures -%}
                {%- do measures.append(word) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(measures | sort) -}}
{%- endmacro %}
