{#- Words of a list in the program's closed loop, in its order. -#}
{% macro loop_words(key) -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {%- set query -%}
        select value
        from program.settings
        where key like {{ text_literal("closed_loop." ~ key ~ ".%") }}
        order by key
    {%- endset -%}
    {%- set words = [] -%}
    {%- for row in program_rows(query) -%}{%- do words.append(row[0]) -%}{%- endfor -%}
    {{- return(words) -}}
{%- endmacro %}

{#- Steps of a case in their order: position, id, title_en, title_zh, within_seconds. -#}
{% macro loop_steps() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {%- set query -%}
        select
            position,
            id,
            title_en,
            title_zh,
            within_seconds
        from program.loop_steps
        order by position
    {%- endset -%}
    {{- return(program_rows(query)) -}}
{%- endmacro %}

{#- Title of a step in a language; also of those that are no step: closed and lapsed. -#}
{% macro loop_title(step, language) -%}
    case {{ step }}
        {%- for row in loop_steps() %}
        when {{ text_literal(row["id"]) }} then {{ text_literal(row["title_" ~ language]) }}
        {%- endfor %}
        when 'closed' then {{ text_literal({"en": "Closed", "zh": "已闭环"}[language]) }}
        when 'lapsed' then {{ text_literal({"en": "Lapsed", "zh": "已搁置"}[language]) }}
    end
{%- endmacro %}

{#- The columns of tickets that say which tickets have the same cause. -#}
{% macro same_cause() -%}
    {{- return(loop_words("same_cause") or ["category"]) -}}
{%- endmacro %}

{#-
    Whether a ticket was more than one contact, by the program; unknown where one of the tests is
    and none says so. Columns: those of the model int_ticket_outcomes.
-#}
{% macro first_contact_failed() -%}
    {%- set tests = {
        "reopened": "is_reopened",
        "repeated": "is_repeated",
        "asked_back": "was_asked_back",
        "followed_up": "was_followed_up",
        "several_people": "had_several_people",
    } -%}
    {%- set used = [] -%}
    {%- for name in loop_words("first_contact.fails") -%}{%- do used.append(tests[name]) -%}{%- endfor -%}
    ({{ used | join(" or ") or "false" }})
{%- endmacro %}

{#- Later of two times by so many days of 24 hours from the program. -#}
{% macro plus_repeat_days(moment) -%}
    ({{ moment }} + interval '{{ setting_text("closed_loop.repeat_days") }}' day)
{%- endmacro %}

{#- A score as a share of its scale, 0 to 1; nps goes from 0 to 10 where no scale is given. -#}
{% macro score_share() -%}
    round(
        (score - coalesce(scale_min, case when kind = 'nps' then 0 end))
        / nullif(
            coalesce(scale_max, case when kind = 'nps' then 10 end)
            - coalesce(scale_min, case when kind = 'nps' then 0 end),
            0
        ),
        9
    )
{%- endmacro %}

{#-
    When a ticket is to be solved or closed: the first service clock that fits, in real time and
    without pauses, else closed_loop.due_default; null for urgencies that are only recorded.
-#}
{% macro ticket_due_at() -%}
    {%- set names = {"kinds": "kind", "urgencies": "urgency", "touchpoints": "touchpoint"} -%}
    {%- set query -%}
        select *
        from program.sla_clocks
        where
            starts = 'ticket_opened'
            and stops in ('solved', 'closed')
            and target_seconds is not null
            and coalesce(segments, '') = ''
            and coalesce(stages, '') = ''
            and coalesce(tiers, '') = ''
        order by position
    {%- endset -%}
    case
        when urgency in ({{ setting_list("sla.recorded_only") }}) then cast(null as timestamp)
        {%- for clock in (program_rows(query) if execute else []) %}
        {%- set tests = [] -%}
        {%- for list, column in names.items() if clock[list] -%}
            {%- set texts = [] -%}
            {%- for value in clock[list].split(", ") -%}{%- do texts.append(text_literal(value)) -%}{%- endfor -%}
            {%- do tests.append(column ~ " in (" ~ texts | join(", ") ~ ")") -%}
        {%- endfor -%}
        {%- if clock["complex"] is not none -%}
            {%- do tests.append("is_complex = " ~ (clock["complex"] | string | lower)) -%}
        {%- endif %}
        when {{ tests | join(" and ") or "true" }}
            then opened_at + interval '{{ clock["target_seconds"] }}' second
        {%- endfor %}
        else opened_at + interval '{{ loop_seconds("due_default") }}' second
    end
{%- endmacro %}

{#- Seconds of a duration of the closed loop. -#}
{% macro loop_seconds(key) -%}
    {%- set text = setting_text("closed_loop." ~ key) -%}
    {%- set lengths = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800} -%}
    {{- return((text[:-1] | int) * lengths.get(text[-1], 1)) -}}
{%- endmacro %}
