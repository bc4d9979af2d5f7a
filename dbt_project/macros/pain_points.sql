{#- Rules of pain points in the program's order: position, id, class, touchpoint, categories … -#}
{% macro pain_point_rules() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.pain_point_rules order by position")) -}}
{%- endmacro %}

{#- Whether a text has what a pattern looks for. -#}
{% macro finds(text, pattern) -%}
    {{- return(adapter.dispatch("finds", "careloop")(text, pattern)) -}}
{%- endmacro %}

{% macro default__finds(text, pattern) -%}
    {{ text }} rlike r{{ text_literal(pattern) }}
{%- endmacro %}

{% macro duckdb__finds(text, pattern) -%}
    regexp_matches({{ text }}, {{ text_literal(pattern) }})
{%- endmacro %}

{#- A text without what a pattern looks for; what stood on both sides does not grow together. -#}
{% macro struck_out(text, pattern) -%}
    {{- return(adapter.dispatch("struck_out", "careloop")(text, pattern)) -}}
{%- endmacro %}

{% macro default__struck_out(text, pattern) -%}
    regexp_replace({{ text }}, r{{ text_literal(pattern) }}, char(31))
{%- endmacro %}

{% macro duckdb__struck_out(text, pattern) -%}
    regexp_replace({{ text }}, {{ text_literal(pattern) }}, chr(31), 'g')
{%- endmacro %}

{#-
    Patterns of the rules by position. Each has any (all keywords in one), unless (all exceptions
    in one; none without) and words, pairs of keyword and pattern. One pattern per rule takes a
    twentieth of the time of a search word by word, and of one pattern for all rules, which is
    too large for the engine's quick way.
-#}
{% macro pain_point_patterns() -%}
    {%- set found = {} -%}
    {%- if execute -%}
        {%- set query -%}
            select * from program.pain_point_patterns order by position, is_exception, word_no
        {%- endset -%}
        {%- for row in program_rows(query) -%}
            {%- set rule = found.setdefault(
                row["position"], {"any": none, "unless": none, "words": []}
            ) -%}
            {%- if row["word_no"] == 0 -%}
                {%- do rule.update({"unless" if row["is_exception"] else "any": row["pattern"]}) -%}
            {%- elif not row["is_exception"] -%}
                {%- do rule["words"].append((row["word"], row["pattern"])) -%}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- return(found) -}}
{%- endmacro %}

{#- Position of the first rule with a category; null where none has it. -#}
{% macro pain_point_of_category(category) -%}
    case
        {%- for rule in pain_point_rules() if rule["categories"] %}
        when {{ category }} in ({{ words(rule["categories"]) }}) then {{ rule["position"] }}
        {%- endfor %}
        when false then 0
    end
{%- endmacro %}

{#- Position of the first rule with a keyword that stands in a text; null where none does. -#}
{% macro pain_point_of_text(text) -%}
    case
        {%- for position, rule in pain_point_patterns().items() %}
        when
            {{ finds(text, rule["any"]) }}
            {%- if rule["unless"] %}
            and {{ finds(struck_out(text, rule["unless"]), rule["any"]) }}
            {%- endif %}
            then {{ position }}
        {%- endfor %}
        when false then 0
    end
{%- endmacro %}

{#- What a pattern finds in a text from left to right, with the sign of struck_out between. -#}
{% macro all_found(text, pattern) -%}
    {{- return(adapter.dispatch("all_found", "careloop")(text, pattern)) -}}
{%- endmacro %}

{% macro default__all_found(text, pattern) -%}
    concat_ws(char(31), regexp_extract_all({{ text }}, r{{ text_literal(pattern) }}, 0))
{%- endmacro %}

{% macro duckdb__all_found(text, pattern) -%}
    array_to_string(regexp_extract_all({{ text }}, {{ text_literal(pattern) }}), chr(31))
{%- endmacro %}

{#-
    What the rule at a position finds in a text. It is the customer's words, but the same for many
    customers, so that pain_point_words looks word by word at a few thousand texts, not millions.
-#}
{% macro pain_point_places(position, text) -%}
    case {{ position }}
        {%- for number, rule in pain_point_patterns().items() %}
        {%- set left = struck_out(text, rule["unless"]) if rule["unless"] else text %}
        when {{ number }} then {{ all_found(left, rule["any"]) }}
        {%- endfor %}
        when 0 then ''
    end
{%- endmacro %}

{#- The keywords of the rule at a position that stand in what it found, in the program's words. -#}
{% macro pain_point_words(position, places) -%}
    case {{ position }}
        {%- for number, rule in pain_point_patterns().items() %}
        when {{ number }} then concat_ws(
            ', '
            {%- for word, pattern in rule["words"] %},
            case when {{ finds(places, pattern) }} then {{ text_literal(word) }} end
            {%- endfor %}
        )
        {%- endfor %}
        when 0 then ''
    end
{%- endmacro %}

{#- Level of a score by the program: the first that it reaches; null without a score. -#}
{% macro pain_point_level(score) -%}
    case
        {%- if execute %}
        {%- for row in program_rows(
            "select level, cast(min_score as varchar) as min_score "
            ~ "from program.pain_point_levels order by position"
        ) %}
        when {{ score }} >= {{ row["min_score"] }} then {{ text_literal(row["level"]) }}
        {%- endfor %}
        {%- endif %}
        when false then ''
    end
{%- endmacro %}

{#-
    Periods of the pain points, as a list of kind, number (0 is the running one), first day, day
    after the last, and whether it is over: the rolling one and the one before it, and the
    calendar quarters the program shows and one more, for the trend.
-#}
{% macro pain_point_periods() -%}
    {%- set today, periods = as_of_date(), [] -%}
    {%- set days = setting_text("pain_points.window_days") | int -%}
    {%- for number in range(2) -%}
        {%- do periods.append({
            "kind": "rolling",
            "number": number,
            "first_day": "(" ~ today ~ " - " ~ (days * (number + 1)) ~ ")",
            "end_day": "(" ~ today ~ " - " ~ (days * number) ~ ")" if number else none,
            "is_shown": number == 0,
        }) -%}
    {%- endfor -%}
    {%- set quarters = setting_text("pain_points.quarters") | int -%}
    {%- set quarter = period_start("quarter", today) -%}
    {%- for number in range(quarters + 1) -%}
        {%- do periods.append({
            "kind": "quarter",
            "number": number,
            "first_day": months_after(quarter, -3 * number),
            "end_day": months_after(quarter, 3 - 3 * number) if number else none,
            "is_shown": number < quarters,
        }) -%}
    {%- endfor -%}
    {{- return(periods) -}}
{%- endmacro %}

{#- Whether a time lies in a period of pain_point_periods; everything seen is before as_of. -#}
{% macro in_period(moment, period) -%}
    {{ moment }} >= {{ day_start_utc(period["first_day"]) }}
    {%- if period["end_day"] %} and {{ moment }} < {{ day_start_utc(period["end_day"]) }}{% endif %}
{%- endmacro %}

{#- The moment so long before as_of; the setting is in s, m, h, d or w. -#}
{% macro ago(key) -%}
    {%- set text = setting_text(key) -%}
    {%- set lengths = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800} -%}
    {%- set seconds = (text[:-1] | int) * lengths.get(text[-1], 1) -%}
    ({{ as_of_utc() }} - interval '{{ seconds }}' second)
{%- endmacro %}

{#-
    Periods of the staff view, the earliest first: kind, first day and day after the last; the
    months and then the calendar quarters of operation.staff_quarters, the running ones included.
-#}
{% macro staff_periods() -%}
    {%- set quarters = setting_text("operation.staff_quarters") | int -%}
    {%- set first_day = months_after(period_start("quarter", as_of_date()), 3 - 3 * quarters) -%}
    {%- set periods = [] -%}
    {%- for kind, months in [("month", 1), ("quarter", 3)] -%}
        {%- for number in range(0, 3 * quarters, months) -%}
            {%- do periods.append({
                "kind": kind,
                "first_day": months_after(first_day, number),
                "end_day": months_after(first_day, number + months),
            }) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- return(periods) -}}
{%- endmacro %}
