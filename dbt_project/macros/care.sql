{#- Active rules that are used on as_of, of some kinds of trigger; rows of program.rules. -#}
{% macro care_rules(kinds) -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {%- set query -%}
        select * from program.rules
        where
            coalesce(starts_on, {{ as_of_date() }}) <= {{ as_of_date() }}
            and coalesce(ends_on, {{ as_of_date() }}) >= {{ as_of_date() }}
        order by position
    {%- endset -%}
    {{- return(program_rows(query) | selectattr("trigger", "in", kinds) | list) -}}
{%- endmacro %}

{#- Values of one of a rule's lists (segments, tags, unless …), in order. -#}
{% macro care_list(rule, name) -%}
    {%- set rows = listed("select rule, list, value from program.rule_lists order by rule, list, position") -%}
    {%- set values = [] -%}
    {%- for row in rows if row["rule"] == rule["rule"] and row["list"] == name -%}
        {%- do values.append(row["value"]) -%}
    {%- endfor -%}
    {{- return(values) -}}
{%- endmacro %}

{#- Texts as SQL literals for `in (…)`. -#}
{% macro care_texts(values) -%}
    {%- set texts = [] -%}
    {%- for value in values -%}{%- do texts.append(text_literal(value)) -%}{%- endfor -%}
    {{- return(texts | join(", ")) -}}
{%- endmacro %}

{#-
    Days that a duration is at most (or, if shortest, at least) long, whatever the calendar; 0 for
    none. Working days: a public holiday of ten days and make-up weeks fit in.
-#}
{% macro care_days_of(amount, unit, shortest=false) -%}
    {%- if amount is none -%}{{- return(0) -}}{%- endif -%}
    {%- set longest_of = {"d": 1, "w": 7, "mo": 31, "q": 92, "y": 366, "wd": 2} -%}
    {%- set shortest_of = {"d": 1, "w": 7, "mo": 28, "q": 90, "y": 365, "wd": 1} -%}
    {%- set per_day = {"s": 86400, "m": 1440, "h": 24} -%}
    {%- if unit in per_day -%}
        {%- set days = amount // per_day[unit] -%}
    {%- else -%}
        {%- set days = amount * (shortest_of if shortest else longest_of)[unit] -%}
    {%- endif -%}
    {%- if shortest -%}{{- return([days - 1, 0] | max) -}}{%- endif -%}
    {{- return(days + (20 if unit == "wd" else 2)) -}}
{%- endmacro %}

{#-
    Condition that a row of int_care_days is the last day of a duration that begins in another
    row of it; for durations in days and longer.
-#}
{% macro care_last_day(last, first, amount, unit) -%}
    {%- if unit == "wd" -%}
        {{ last }}.is_workday and {{ last }}.workdays = {{ first }}.workdays + {{ amount }}
    {%- else -%}
        {{ last }}.day = {{ plus_duration(first ~ ".day", amount ~ unit) }}
    {%- endif -%}
{%- endmacro %}

{#-
    UTC end of a duration: exact for seconds, minutes and hours from a moment; for days and
    longer the local midnight that ends the last day; for working days the end of working time.
    last: row of int_care_days joined by care_last_day.
-#}
{% macro care_end(moment, last, amount, unit) -%}
    {%- if unit in ("s", "m", "h") -%}
        {{ moment }} + {{ care_interval(amount, unit) }}
    {%- elif unit == "wd" -%}
        {{ last }}.work_ends_at
    {%- else -%}
        {{ last }}.ends_at
    {%- endif -%}
{%- endmacro %}

{#- A duration in seconds, minutes or hours as an interval. -#}
{% macro care_interval(amount, unit) -%}
    interval '{{ amount }}' {{ {"s": "second", "m": "minute", "h": "hour"}[unit] }}
{%- endmacro %}

{#- Whether a duration is counted in days of the calendar. -#}
{% macro care_is_in_days(unit) -%}
    {{- return(unit is not none and unit not in ("s", "m", "h")) -}}
{%- endmacro %}

{#- Whether a duration is counted in days, weeks, months, quarters or years. -#}
{% macro care_is_of_calendar(unit) -%}
    {{- return(care_is_in_days(unit) and unit != "wd") -}}
{%- endmacro %}

{#-
    Start of the look-back for an event, as a UTC timestamp literal: as_of less the longest
    `until` of the rules that wait for it. Without such a rule it is out of reach.
-#}
{% macro care_event_from(event) -%}
    {%- set days = [] -%}
    {%- for rule in care_rules(["event"]) if rule["trigger_name"] == event -%}
        {%- do days.append(care_days_of(rule["until_amount"], rule["until_unit"])) -%}
    {%- endfor -%}
    {%- if days -%}
        ({{ as_of_utc() }} - interval '{{ days | max }}' day)
    {%- else -%}
        timestamp '9999-12-31 00:00:00'
    {%- endif -%}
{%- endmacro %}

{#- End of the look-back for an event: as_of less the shortest `after`. -#}
{% macro care_event_until(event) -%}
    {%- set days = [] -%}
    {%- for rule in care_rules(["event"]) if rule["trigger_name"] == event -%}
        {%- do days.append(care_days_of(rule["after_amount"], rule["after_unit"], true)) -%}
    {%- endfor -%}
    ({{ as_of_utc() }} - interval '{{ (days or [0]) | min }}' day)
{%- endmacro %}

{#- Days back that int_care_days must reach, and ahead. -#}
{% macro care_span(direction) -%}
    {%- set days = [31] -%}
    {%- for rule in care_rules(["anniversary", "occasion", "event", "entered", "cadence", "condition"]) -%}
        {%- for name in ["until", "expires_after", "act_within", "after"] -%}
            {%- do days.append(care_days_of(rule[name ~ "_amount"], rule[name ~ "_unit"])) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set more = care_days_of(optional_setting_text("late_delivery.promise_days", "0") | int, "d") -%}
    {{- return(2 * (days | max) + more) -}}
{%- endmacro %}

{#- First day on which an occasion may have come up that has not expired yet. -#}
{% macro care_first_day(rule) -%}
    {{- as_of_date() }} - {{ care_days_of(rule["expires_after_amount"], rule["expires_after_unit"]) -}}
{%- endmacro %}

{#- The earliest of these days of the rules that wait for an entry. -#}
{% macro care_entered_from() -%}
    {%- set days = [0] -%}
    {%- for rule in care_rules(["entered"]) -%}
        {%- do days.append(care_days_of(rule["expires_after_amount"], rule["expires_after_unit"])) -%}
    {%- endfor -%}
    {{ as_of_date() }} - {{ days | max }}
{%- endmacro %}

{#- Whole number of the first 8 hex digits of a text's md5. -#}
{% macro hash_number(text) -%}
    {{- return(adapter.dispatch("hash_number", "careloop")(text)) -}}
{%- endmacro %}

{% macro default__hash_number(text) -%}
    cast(conv(substr(md5({{ text }}), 1, 8), 16, 10) as bigint)
{%- endmacro %}

{% macro duckdb__hash_number(text) -%}
    cast('0x' || substr(md5({{ text }}), 1, 8) as bigint)
{%- endmacro %}

{#- A JSON text with one key per column whose value is known. -#}
{% macro json_known(columns) -%}
    {{- return(adapter.dispatch("json_known", "careloop")(columns)) -}}
{%- endmacro %}

{% macro default__json_known(columns) -%}
    to_json(named_struct(
        {%- for name, value in columns.items() %}'{{ name }}', {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    ))
{%- endmacro %}

{% macro duckdb__json_known(columns) -%}
    cast(json_merge_patch('{}', json_object(
        {%- for name, value in columns.items() %}'{{ name }}', {{ value }}{{ ", " if not loop.last }}{% endfor -%}
    )) as varchar)
{%- endmacro %}

{#-
    First day of the turn that a customer is in, for a rule that comes up every so often. Turns are
    spread over the time by a number from 0 to 2^32 made of rule and customer.
    Days and weeks: the last day up to as_of that is as far from a multiple of the length as the
    number. Months, quarters and years: so many days into a period counted from year 0, the one
    as_of lies in or, if that day is still to come, the one before.
-#}
{% macro care_turn_start(rule, customer_id, amount, unit) -%}
    {%- set number -%}
        {{ hash_number(text_literal("turn|" ~ rule["rule"] ~ "|") ~ " || " ~ customer_id) }}
    {%- endset -%}
    {%- set day = modules.datetime.date.fromisoformat(run_context("as_of_date")) -%}
    {%- set months_of = {"mo": 1, "q": 3, "y": 12} -%}
    {%- if unit in months_of -%}
        {%- set months = amount * months_of[unit] -%}
        {%- set period = ((day.year * 12 + day.month - 1) // months) * months -%}
        {%- set first = care_month_start(period) -%}
        {%- set before = care_month_start(period - months) -%}
        case
            when {{ number }} % {{ 28 * months }} <= {{ as_of_date() }} - date '{{ first }}'
                then date '{{ first }}'
            else date '{{ before }}'
        end + cast({{ number }} % {{ 28 * months }} as integer)
    {%- else -%}
        {%- set length = care_turn_days(amount, unit) -%}
        {%- set today = (day - modules.datetime.date(1970, 1, 1)).days % length -%}
        {{ as_of_date() }}
        - cast(({{ today + length }} - {{ number }} % {{ length }}) % {{ length }} as integer)
    {%- endif -%}
{%- endmacro %}

{#- First day of a month counted from year 0, as text. -#}
{% macro care_month_start(month) -%}
    {{- return("%04d-%02d-01" | format(month // 12, month % 12 + 1)) -}}
{%- endmacro %}

{#- Length of turns in days: hours begun count as a day, five working days as a week. -#}
{% macro care_turn_days(amount, unit) -%}
    {%- if unit == "d" -%}{{- return(amount) -}}{%- endif -%}
    {%- if unit == "w" -%}{{- return(7 * amount) -}}{%- endif -%}
    {%- if unit == "wd" -%}{{- return((7 * amount + 4) // 5) -}}{%- endif -%}
    {%- set per_day = {"s": 86400, "m": 1440, "h": 24}[unit] -%}
    {{- return((amount + per_day - 1) // per_day) -}}
{%- endmacro %}

{#- Whether a customer's measures fulfil a condition of the pack. -#}
{% macro care_measured(condition_sql) -%}
    customers.customer_id in (
        select customer_id from {{ ref("int_customer_profile") }} where {{ condition_sql }}
    )
{%- endmacro %}

{#-
    Whom a rule is for, as a condition over columns of int_care_customers. The model has the
    relation `tags`.
-#}
{% macro care_audience(rule) -%}
    {%- set columns = {
        "segments": "segment", "stages": "stage", "tiers": "tier",
        "channels": "preferred_channel", "alert_levels": "churn_level",
    } -%}
    {%- set tests = [] -%}
    {%- for name, column in columns.items() -%}
        {%- set values = care_list(rule, name) -%}
        {%- if values -%}
            {%- do tests.append("customers." ~ column ~ " in (" ~ care_texts(values) ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {%- for tag in care_list(rule, "tags") -%}
        {%- set name, sign, value = tag.partition("=") -%}
        {%- set test = "tag = " ~ text_literal(name) -%}
        {%- if sign -%}{%- set test = test ~ " and value = " ~ text_literal(value) -%}{%- endif -%}
        {%- do tests.append("customers.customer_id in (select customer_id from tags where " ~ test ~ ")") -%}
    {%- endfor -%}
    {%- if rule["audience_condition_sql"] -%}{%- do tests.append(care_measured(rule["audience_condition_sql"])) -%}{%- endif -%}
    {{- return(tests | join(" and ") or "true") -}}
{%- endmacro %}

{#- What calls an event off, as a condition over the relations events and customers. -#}
{% macro care_called_off(rule) -%}
    {%- set tests = {
        "returned": "coalesce(events.is_returned, false)",
        "delivered": "coalesce(events.is_delivered, false)",
        "advanced": "coalesce(events.is_advanced, false)",
        "ticket_open": "customers.open_tickets > 0",
        "ticket_answered": "coalesce(events.is_answered, false)",
        "ordered": "coalesce(customers.last_ordered_at > events.occurred_at, false)",
        "contacted": "coalesce(customers.last_contacted_at > events.occurred_at, false)",
        "answered": "coalesce(customers.last_answered_at > events.occurred_at, false)",
    } -%}
    {%- set given = [] -%}
    {%- for name in care_list(rule, "unless") -%}{%- do given.append(tests[name]) -%}{%- endfor -%}
    {{- return(given | join(" or ") or "false") -}}
{%- endmacro %}

{#- Which tickets or answers a rule is for, as a condition over the relation events. -#}
{% macro care_tickets(rule) -%}
    {%- set kind = "survey_kind" if rule["trigger_name"] == "low_score" else "ticket_kind" -%}
    {%- set columns = {"kinds": kind, "urgencies": "urgency", "touchpoints": "touchpoint"} -%}
    {%- set tests = [] -%}
    {%- for name, column in columns.items() -%}
        {%- set values = care_list(rule, name) -%}
        {%- if values -%}
            {%- do tests.append("events." ~ column ~ " in (" ~ care_texts(values) ~ ")") -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(tests | join(" and ") or "true") -}}
{%- endmacro %}

{#-
    What an occasion is about as JSON with sorted keys. values: a mapping of key to SQL; a rule
    about the next product adds that. Unknown values are left out.
-#}
{% macro care_about(rule, values) -%}
    {%- set columns = dict(values) -%}
    {%- if rule["about"] == "next_product" -%}
        {%- for name in ["category", "product_id", "product_name"] -%}
            {%- do columns.update({name: "next_products." ~ name}) -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set ordered = {} -%}
    {%- for name in columns | sort -%}{%- do ordered.update({name: columns[name]}) -%}{%- endfor -%}
    {{- return(json_known(ordered) if ordered else "'{}'") -}}
{%- endmacro %}

{#- What is told of each event: columns of int_care_events. -#}
{% macro care_event_about(event) -%}
    {%- set order = ["order_id", "order_amount", "currency"] -%}
    {%- set product = ["product_id", "product_name", "category"] -%}
    {%- set told = {
        "first_order": order, "last_order": order, "order_paid": order,
        "order_preparing": order + ["promised_on"], "order_shipped": order + ["promised_on"],
        "order_delivered": order, "order_completed": order,
        "delivery_late": order + ["promised_on", "days_late"],
        "delivery_lost": order + ["promised_on", "days_late"],
        "delivery_stalled": order + ["promised_on", "moved_on"],
        "cart_abandoned": product, "replacement_due": product + ["due_on"],
        "ticket_opened": ["ticket_id", "answer_due_at", "solution_due_at"],
        "ticket_solved": ["ticket_id"],
        "ticket_overdue": ["ticket_id", "clock", "step", "new_due_at", "why"],
        "low_score": ["response_id", "ticket_id", "order_id", "score", "scale_max"],
        "incident": ["incident_id", "ticket_id"], "points_expiring": ["points", "expires_on"],
        "referral_converted": ["referral_id"],
    } -%}
    {%- set values = {} -%}
    {%- for name in told.get(event, []) -%}{%- do values.update({name: "events." ~ name}) -%}{%- endfor -%}
    {{- return(values) -}}
{%- endmacro %}

{#- Join to the next product of the customer, for a rule that is about it. -#}
{% macro care_next_product_join(rule) -%}
    {%- if rule["about"] == "next_product" %}
    inner join next_products on customers.customer_id = next_products.customer_id
    {%- endif %}
{%- endmacro %}

{#- Month and day of a date as one number: 31 December is 1231. -#}
{% macro month_day(day) -%}
    (extract(month from {{ day }}) * 100 + extract(day from {{ day }}))
{%- endmacro %}

{#-
    One row per rule that waits for no event and day on which it may have come up and is not
    expired by as_of. On the last days of February of other years 29 February is kept, too.
    The model has the relation `days`.
-#}
{% macro care_rule_days() -%}
    {%- set rules = care_rules(["anniversary", "occasion", "entered", "cadence", "condition"]) -%}
    {%- for rule in rules %}
    {%- set expiry = (rule["expires_after_amount"], rule["expires_after_unit"]) %}
    {%- set act = (rule["act_within_amount"], rule["act_within_unit"]) %}
    {%- set expires_at = "expiry.starts_at" if care_is_of_calendar(expiry[1])
        else care_end("came_up.starts_at", "expiry", *expiry) %}
    select
        {{ text_literal(rule["rule"]) }} as rule,
        came_up.day as came_up_on,
        {{ days_after("came_up.day", rule["days_before"]) }} as occasion_on,
        {{ expires_at }} as expires_at,
        {% if act[0] is none -%}
        {{ expires_at }}
        {%- else -%}
        {{ care_end("came_up.starts_at", "act", *act) }}
        {%- endif %} as due_at
    from days as came_up
    {%- if care_is_in_days(expiry[1]) %}
    inner join days as expiry on {{ care_last_day("expiry", "came_up", *expiry) }}
    {%- endif %}
    {%- if care_is_in_days(act[1]) %}
    inner join days as act on {{ care_last_day("act", "came_up", *act) }}
    {%- endif %}
    where
        came_up.day between
            {{ as_of_date() if rule["trigger"] == "condition" else care_first_day(rule) }}
            and {{ as_of_date() }}
        and {{ expires_at }} > {{ as_of_utc() }}
    {{ "union all" if not loop.last }}
    {%- else %}
    select
        '' as rule,
        day as came_up_on,
        day as occasion_on,
        ends_at as expires_at,
        ends_at as due_at
    from days
    where false
    {%- endfor %}
{%- endmacro %}

{#-
    One row per customer, rule and occasion that has come up and fits; one query per rule. The
    model has the relations events, days, rule_days, occasion_days, next_products and tags.
    customers: relation of int_care_customers; under a name of its own all of it would be copied.
-#}
{% macro care_candidates(customers) -%}
    {%- set kinds = ["anniversary", "occasion", "event", "entered", "cadence", "condition"] -%}
    {%- for rule in care_rules(kinds) %}
    {%- if rule["trigger"] == "event" -%}
        {{ care_event_candidates(rule, customers) }}
    {%- elif rule["trigger"] == "entered" -%}
        {{ care_entered_candidates(rule, customers) }}
    {%- else -%}
        {{ care_dated_candidates(rule, customers) }}
    {%- endif %}
    {{ "union all" if not loop.last }}
    {%- else %}
    select
        customers.customer_id,
        '' as rule,
        '' as occasion,
        {{ as_of_date() }} as came_up_on,
        {{ as_of_utc() }} as occurred_at,
        {{ as_of_utc() }} as expires_at,
        {{ as_of_utc() }} as due_at,
        '' as about
    from {{ customers }} as customers
    where false
    {%- endfor %}
{%- endmacro %}

{#- Candidates of an anniversary, a day of the calendar, a cadence or a condition. -#}
{% macro care_dated_candidates(rule, customers) -%}
    {%- set dates = {
        "birthday": "birthday", "registration": "registered_on", "first_purchase": "first_order_on",
        "membership": "member_since_on", "company": "company_founded_on",
        "cooperation": "cooperation_start_on",
    } -%}
    {%- set kind = rule["trigger"] -%}
    {%- set name = rule["trigger_name"] -%}
    {%- set joins = ["rule_days.rule = " ~ text_literal(rule["rule"])] -%}
    {%- set tests = [care_audience(rule)] -%}
    {%- set about = {} -%}
    {%- if kind == "anniversary" -%}
        {%- set day = "customers." ~ dates[name] -%}
        {%- set years -%}
            (extract(year from rule_days.occasion_on) - extract(year from {{ day }}))
        {%- endset -%}
        {%- do joins.append(month_day(day) ~ " = rule_days.month_day") -%}
        {%- do about.update({"occasion_on": "rule_days.occasion_on"}) -%}
        {%- if name == "birthday" -%}
            {#- Where the year is unknown, CRMs hold 1900, this year or the like. -#}
            {%- do about.update({"years": "case when " ~ years ~ " between 1 and 119 then " ~ years ~ " end"}) -%}
        {%- else -%}
            {%- do about.update({"years": years}) -%}
            {%- do tests.append(years ~ " >= 1") -%}
        {%- endif -%}
        {%- set occasion = text_literal(name ~ ":") ~ " || cast(extract(year from rule_days.occasion_on) as varchar)" -%}
    {%- elif kind == "occasion" -%}
        {%- do about.update({"occasion_on": "rule_days.occasion_on"}) -%}
        {%- set occasion = text_literal(name ~ ":") ~ " || cast(rule_days.occasion_on as varchar)" -%}
    {%- elif kind == "cadence" -%}
        {%- set turn = care_turn_start(rule, "customers.customer_id", rule["every_amount"], rule["every_unit"]) -%}
        {%- do joins.append("rule_days.came_up_on = " ~ turn) -%}
        {%- set occasion = "'turn:' || cast(rule_days.came_up_on as varchar)" -%}
    {%- else -%}
        {%- do tests.append(care_measured(rule["trigger_condition_sql"])) -%}
        {%- if rule["again_after_amount"] is none -%}
            {%- set occasion = "'once'" -%}
        {%- else -%}
            {%- set turn = care_turn_start(rule, "customers.customer_id", rule["again_after_amount"], rule["again_after_unit"]) -%}
            {%- set occasion = "'turn:' || cast(" ~ turn ~ " as varchar)" -%}
        {%- endif -%}
    {%- endif %}
    select
        customers.customer_id,
        rule_days.rule,
        {{ occasion }} as occasion,
        rule_days.came_up_on,
        cast(null as timestamp) as occurred_at,
        rule_days.expires_at,
        rule_days.due_at,
        {{ care_about(rule, about) }} as about
    from {{ customers }} as customers
    inner join rule_days on {{ joins | join(" and ") }}
    {%- if kind == "occasion" %}
    inner join occasion_days
        on
            rule_days.occasion_on = occasion_days.day
            and occasion_days.occasion = {{ text_literal(name) }}
    {%- endif %}
    {{- care_next_product_join(rule) }}
    where {{ tests | join(" and ") }}
{%- endmacro %}

{#- Candidates who have come into a segment, stage, tier or alert level. -#}
{% macro care_entered_candidates(rule, customers) -%}
    {%- set lists = {
        "entered_segments": ("segment", "segment", "segment"),
        "entered_stages": ("stage", "stage", "stage"),
        "entered_tiers": ("tier", "tier", "tier"),
        "entered_alert_levels": ("churn_level", "alert_level", "level"),
    } -%}
    {%- for name, (column, dimension, key) in lists.items() if care_list(rule, name) %}
    select
        customers.customer_id,
        rule_days.rule,
        '{{ dimension }}:' || customers.{{ column }} || ':'
        || cast(rule_days.came_up_on as varchar) as occasion,
        rule_days.came_up_on,
        cast(null as timestamp) as occurred_at,
        rule_days.expires_at,
        rule_days.due_at,
        {{ care_about(rule, {key: "customers." ~ column}) }} as about
    from {{ customers }} as customers
    inner join rule_days
        on
            rule_days.rule = {{ text_literal(rule["rule"]) }}
            and customers.{{ column }}_entered_on = rule_days.came_up_on
    {{- care_next_product_join(rule) }}
    where
        customers.{{ column }} in ({{ care_texts(care_list(rule, name)) }})
        and {{ care_audience(rule) }}
    {%- endfor %}
{%- endmacro %}

{#- Candidates to whom something happened, after the delay and within the window. -#}
{% macro care_event_candidates(rule, customers) -%}
    {%- set after = (rule["after_amount"], rule["after_unit"]) -%}
    {%- set until = (rule["until_amount"], rule["until_unit"]) -%}
    {%- set act = (rule["act_within_amount"], rule["act_within_unit"]) -%}
    {%- set expires_at = care_end("events.occurred_at", "expiry", *until) -%}
    {%- set waits_days = care_is_in_days(after[1]) -%}
    {%- if after[0] is none -%}
        {%- set came_up_at = "events.occurred_at" -%}
    {%- elif waits_days -%}
        {%- set came_up_at = "came_up.starts_at" -%}
    {%- else -%}
        {%- set came_up_at = "(events.occurred_at + " ~ care_interval(*after) ~ ")" -%}
    {%- endif %}
    select
        customers.customer_id,
        {{ text_literal(rule["rule"]) }} as rule,
        events.occasion,
        came_up.day as came_up_on,
        events.occurred_at,
        {{ expires_at }} as expires_at,
        {% if act[0] is none -%}
        {{ expires_at }}
        {%- else -%}
        {{ care_end(came_up_at, "act", *act) }}
        {%- endif %} as due_at,
        {{ care_about(rule, care_event_about(rule["trigger_name"])) }} as about
    from events
    inner join {{ customers }} as customers on events.customer_id = customers.customer_id
    inner join days as happened on events.occurred_on = happened.day
    inner join days as came_up
        on
        {%- if waits_days %}
            {{ care_last_day("came_up", "happened", *after) }}
        {%- elif after[0] is none %}
            events.occurred_on = came_up.day
        {%- else %}
            {{ local_date(came_up_at) }} = came_up.day
        {%- endif %}
    {%- if care_is_in_days(until[1]) %}
    inner join days as expiry on {{ care_last_day("expiry", "happened", *until) }}
    {%- endif %}
    {%- if care_is_in_days(act[1]) %}
    inner join days as act on {{ care_last_day("act", "came_up", *act) }}
    {%- endif %}
    {{- care_next_product_join(rule) }}
    where
        events.event = {{ text_literal(rule["trigger_name"]) }}
        and {{ came_up_at }} <= {{ as_of_utc() }}
        and {{ expires_at }} > {{ as_of_utc() }}
        and not ({{ care_called_off(rule) }})
        and {{ care_tickets(rule) }}
        and {{ care_audience(rule) }}
    {%- if rule["trigger_name"] == "cart_abandoned" %}
    qualify row_number() over (
        partition by events.customer_id order by events.occurred_at desc, events.occasion desc
    ) = 1
    {%- endif %}
{%- endmacro %}

{#- A query of the days from one date to another, both included. -#}
{% macro date_series(first_day, last_day) -%}
    {{- return(adapter.dispatch("date_series", "careloop")(first_day, last_day)) -}}
{%- endmacro %}

{% macro default__date_series(first_day, last_day) -%}
    select explode(sequence({{ first_day }}, {{ last_day }})) as day
{%- endmacro %}

{% macro duckdb__date_series(first_day, last_day) -%}
    select cast(unnest(generate_series(
        cast({{ first_day }} as timestamp), cast({{ last_day }} as timestamp), interval 1 day
    )) as date) as day
{%- endmacro %}

{#- A moment moved on by a duration of the pack (null: not at all): days have 24 hours. -#}
{% macro care_later(moment, key) -%}
    {{- return(care_shifted(moment, key, "+")) -}}
{%- endmacro %}

{#- The same back. -#}
{% macro care_earlier(moment, key) -%}
    {{- return(care_shifted(moment, key, "-")) -}}
{%- endmacro %}

{% macro care_shifted(moment, key, sign) -%}
    {%- set duration = optional_setting_text(key) if execute else none -%}
    {%- if duration is none -%}{{- return(moment) -}}{%- endif -%}
    {%- set amount = modules.re.sub("[a-z]", "", duration) | int -%}
    {%- set unit = modules.re.sub("[0-9]", "", duration) -%}
    {%- set seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}.get(unit) -%}
    {%- if seconds -%}
        ({{ moment }} {{ sign }} interval '{{ amount * seconds }}' second)
    {%- else -%}
        {%- set months = {"mo": 1, "q": 3, "y": 12}.get(unit) -%}
        {%- if months is none -%}
            {{- exceptions.raise_compiler_error(key ~ ": " ~ duration ~ " must not be in working days") -}}
        {%- endif -%}
        ({{ moment }} {{ sign }} interval '{{ amount * months }}' month)
    {%- endif -%}
{%- endmacro %}

{#- Promises or, without one, shipping times from before this cannot be late in the look-back. -#}
{% macro care_promised_from() -%}
    {%- set days = optional_setting_text("late_delivery.promise_days", "0") | int + 1 -%}
    (least(
        {{ care_earlier(care_event_from("delivery_late"), "late_delivery.late_after") }},
        {{ care_earlier(care_event_from("delivery_lost"), "late_delivery.lost_after") }}
    ) - interval '{{ days }}' day)
{%- endmacro %}

{#- Changes of orders from before this cannot have led to a stall in the look-back. -#}
{% macro care_moved_from() -%}
    {{- return(care_earlier(
        care_event_from("delivery_stalled"), "late_delivery.no_movement_after"
    )) -}}
{%- endmacro %}

{#- A moment so many seconds later; seconds is a column or an expression. -#}
{% macro care_seconds_later(moment, seconds) -%}
    {{- return(dbt.dateadd("second", seconds, moment)) -}}
{%- endmacro %}

{#- When an order last moved: the latest known time of a change. -#}
{% macro care_moved_at() -%}
    case
        when status in ('paid', 'preparing', 'shipped') and delivered_at is null and cancelled_at is null
            then greatest(paid_at, shipped_at, updated_at)
    end
{%- endmacro %}

{#-
    The step of program.escalation at which the customer is told of a missed promise; none if
    nobody is.
-#}
{% macro care_telling_step() -%}
    {%- if not execute -%}{{- return(none) -}}{%- endif -%}
    {%- set steps = program_rows("select * from program.escalation order by position") -%}
    {{- return(steps | selectattr("tell_customer") | first | default(none)) -}}
{%- endmacro %}

{#-
    What holds up every message of the rules that wait for an event: quiet (quiet hours hold for
    one of them) and free_days (all their channels rest on free days).
-#}
{% macro care_waits(event) -%}
    {%- set waits = {"quiet": false, "free_days": false} -%}
    {%- if not execute -%}{{- return(waits) -}}{%- endif -%}
    {%- set exempt = setting_list("quiet_hours.exempt_purposes") -%}
    {%- set resting = setting_list("quiet_hours.working_days_only") -%}
    {%- set channels = [] -%}
    {%- for rule in care_rules(["event"]) if rule["trigger_name"] == event -%}
        {%- if text_literal(rule["purpose"]) not in exempt -%}{%- do waits.update({"quiet": true}) -%}{%- endif -%}
        {%- for row in listed("select rule, channel from program.rule_channels order by rule, position") -%}
            {%- if row["rule"] == rule["rule"] -%}{%- do channels.append(text_literal(row["channel"]) in resting) -%}{%- endif -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- do waits.update({"free_days": channels != [] and false not in channels}) -%}
    {{- return(waits) -}}
{%- endmacro %}

{#- The day a duration in days, weeks, months, quarters or years before another. -#}
{% macro care_day_before(day, duration) -%}
    {%- set amount = modules.re.sub("[a-z]", "", duration) | int -%}
    {%- set unit = modules.re.sub("[0-9]", "", duration) -%}
    {%- set part, times = {
        "d": ("day", 1), "w": ("week", 1), "mo": ("month", 1), "q": ("month", 3), "y": ("year", 1),
    }[unit] -%}
    cast({{ dbt.dateadd(part, -amount * times, day) }} as date)
{%- endmacro %}

{#- Whether an order was paid for and not delivered, cancelled or returned by a moment. -#}
{% macro care_undelivered_at(moment) -%}
    coalesce(status, '') <> 'pending'
    and coalesce(delivered_at > {{ moment }}, status is null or status not in ('delivered', 'completed'))
    and coalesce(cancelled_at > {{ moment }}, status is null or status not in ('cancelled', 'returned'))
{%- endmacro %}
