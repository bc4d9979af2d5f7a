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

{#- Seconds of a duration of the closed loop. -#}
{% macro loop_seconds(key) -%}
    {%- set text = setting_text("closed_loop." ~ key) -%}
    {%- set lengths = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800} -%}
    {{- return((text[:-1] | int) * lengths.get(text[-1], 1)) -}}
{%- endmacro %}

{#-
    How each step of the pack is seen in the columns of fct_cases: its id, title and place;
    reached: a condition; moment: when, if the CRM says so; starts: when its time begins; limit:
    its end; applies: a condition, also over the relation recorded; is_milestone: what came before
    it no longer matters once it is reached.
-#}
{% macro loop_plan() -%}
    {%- set told = {
        "acknowledged": ["acknowledged_at is not null", "acknowledged_at", "opened_at", "recorded.has_answers and is_ticket"],
        "classified": ["kind is not null and urgency is not null", none, none, "true"],
        "owner_assigned": ["owner_id is not null", none, none, "recorded.has_owners"],
        "due_set": ["due_at is not null or clock_state is not null", none, none, "not is_recorded_only"],
        "answered": ["answered_at is not null", "answered_at", "opened_at", "recorded.has_answers and is_ticket"],
        "solved": ["is_resolved", "solved_at", "opened_at", "true"],
        "called_back": ["called_back_at is not null", "called_back_at", "solved_at", "recorded.has_calls and is_ticket"],
        "result_told": ["result_told_at is not null", "result_told_at", "solved_at", "recorded.has_surveys and is_ticket"],
        "confirmed": [
            "is_confirmed", "confirmed_at", "greatest(solved_at, called_back_at, result_told_at)",
            "recorded.has_confirmations and is_ticket",
        ],
        "archived": [
            "archived_at is not null", "archived_at",
            "greatest(solved_at, called_back_at, result_told_at, confirmed_at)",
            "recorded.has_archive and is_ticket",
        ],
    } -%}
    {%- set plan = [] -%}
    {%- for row in loop_steps() -%}
        {%- set reached, moment, starts, applies = told[row["id"]] -%}
        {%- set limit = "due_at" if row["id"] == "solved" and row["within_seconds"] is none
            else starts and "(" ~ starts ~ " + interval '" ~ row["within_seconds"] ~ "' second)" -%}
        {%- do plan.append({
            "id": row["id"], "place": row["position"], "seconds": row["within_seconds"],
            "reached": reached, "moment": moment, "starts": starts, "limit": limit,
            "applies": applies,
            "is_milestone": row["id"] in ("solved", "called_back", "result_told", "confirmed", "archived"),
        }) -%}
    {%- endfor -%}
    {{- return(plan) -}}
{%- endmacro %}

{#- Place of the furthest step after which what came before no longer matters; 0 if none. -#}
{% macro loop_floor() -%}
    {%- set steps = [] -%}
    {%- for step in loop_plan() if step["is_milestone"] -%}{%- do steps.insert(0, step) -%}{%- endfor -%}
    case
        {%- for step in steps %}
        when {{ step["reached"] }} then {{ step["place"] }}
        {%- endfor %}
        else 0
    end
{%- endmacro %}

{#-
    The step a case is in: the first that applies, is not reached and is not overtaken by a later
    one that is; closed once there is none or the case is archived. The relation has
    overtaken_place.
-#}
{% macro loop_current_step() -%}
    case
        when archived_at is not null then 'closed'
        {%- for step in loop_plan() %}
        when overtaken_place < {{ step["place"] }} and {{ step["applies"] }} and not ({{ step["reached"] }})
            then {{ text_literal(step["id"]) }}
        {%- endfor %}
        else 'closed'
    end
{%- endmacro %}

{#- When the step a case is in began: the latest time known of those before it. -#}
{% macro loop_since() -%}
    case current_step
        {%- set moments = ["opened_at", "last_reopened_at"] -%}
        {%- for step in loop_plan() %}
        when {{ text_literal(step["id"]) }} then greatest({{ moments | join(", ") }})
        {%- if step["moment"] -%}{%- do moments.append(step["moment"]) -%}{%- endif -%}
        {%- endfor %}
    end
{%- endmacro %}

{#- When the time of the step a case is in is over. -#}
{% macro loop_step_due() -%}
    case current_step
        {%- for step in loop_plan() %}
        when {{ text_literal(step["id"]) }} then
            {{ "due_at" if step["seconds"] is none
                else "step_since + interval '" ~ step["seconds"] ~ "' second" }}
        {%- endfor %}
    end
{%- endmacro %}

{#-
    Whether a step was reached in its time: true or false; null where it has no time, it is not
    over yet, or the CRM does not say when. An empty comparison for steps that are not the pack's.
-#}
{% macro loop_on_time(id) -%}
    {%- for step in loop_plan() if step["id"] == id -%}
    case
        when not ({{ step["applies"] }}) then null
        {%- if id == "solved" and step["seconds"] is none %}
        {#- Where the ticket has a clock, as the clock says. #}
        when clock_state = 'unknown' then null
        when clock_state = 'breached' then coalesce({{ step["moment"] }} <= {{ step["limit"] }}, false)
        when clock_state is not null then case when {{ step["reached"] }} then true end
        {%- endif %}
        when {{ step["moment"] }} is not null then {{ step["moment"] }} <= {{ step["limit"] }}
        when {{ step["reached"] }} then null
        when {{ step["limit"] }} < {{ as_of_utc() }} then false
    end
    {%- else -%}
    cast(null as boolean)
    {%- endfor -%}
{%- endmacro %}

{#- The steps that apply and were overtaken without being reached, as text. -#}
{% macro loop_skipped() -%}
    nullif(concat_ws(
        ', '
        {%- for step in loop_plan() %},
        case
            when
                {{ step["applies"] }}
                and not ({{ step["reached"] }})
                and (archived_at is not null or overtaken_place > {{ step["place"] }})
                then {{ text_literal(step["id"]) }}
        end
        {%- endfor %}
    ), '')
{%- endmacro %}

{#- Whether an urgency is only recorded, without a time to solve. -#}
{% macro is_recorded_only(urgency) -%}
    coalesce({{ urgency }} in ({{ setting_list("sla.recorded_only") }}), false)
{%- endmacro %}

{#- Whether a case has reached a step and the CRM does not say when. -#}
{% macro loop_untimed(step) -%}
    {%- set reached = {"solved": "is_resolved", "confirmed": "is_confirmed"} -%}
    ({{ reached.get(step, "false") }} and {{ step }}_at is null)
{%- endmacro %}
