{#- Rows of the list of a program table, or none while dbt parses. -#}
{% macro listed(query) -%}
    {{- return(program_rows(query) if execute else []) -}}
{%- endmacro %}

{#- What the customer did `most` that tags of the program ask for: kind, window_days, kinds. -#}
{% macro most_rules() -%}
    {{- return(listed(
        "select most, window_days, kinds, id from program.tags where most is not null"
        ~ " order by position"
    )) -}}
{%- endmacro %}

{#- The rule of a kind of `most`; none where no tag asks for it. -#}
{% macro most_rule(kind) -%}
    {{- return(most_rules() | selectattr("most", "equalto", kind) | first) -}}
{%- endmacro %}

{#- Local midnight, in UTC, so many days before as_of: the beginning of a window. -#}
{% macro days_start(days) -%}
    {{- day_start_utc(as_of_date() ~ " - " ~ days) -}}
{%- endmacro %}

{#- Kinds of interactions that are responses, as SQL literals for `in (…)`. -#}
{% macro response_kinds() -%}
    {%- set kinds = [] -%}
    {%- for row in response_weights() -%}{%- do kinds.append(text_literal(row[0])) -%}{%- endfor -%}
    {{- return(kinds | join(", ") if kinds else "null") -}}
{%- endmacro %}

{#- Rows of (kind, weight) of channel_preference.weights. -#}
{% macro response_weights() -%}
    {{- return(listed(
        "select replace(key, 'channel_preference.weights.', '') as kind, cast(value as varchar)"
        ~ " from program.settings where key like 'channel_preference.weights.%' order by key"
    )) -}}
{%- endmacro %}

{#- Weight of a response of a kind: a decimal, so that sums do not depend on the order of rows. -#}
{% macro response_weight(kind) -%}
    cast(case {{ kind }}
        {%- for row in response_weights() %}
        when {{ text_literal(row[0]) }} then {{ row[1] }}
        {%- else %}
        when '' then 0
        {%- endfor %}
    end as decimal(9, 3))
{%- endmacro %}

{#- The channel of the program that a response on a channel speaks for. -#}
{% macro contact_channel(channel) -%}
    {%- set rows = listed(
        "select replace(key, 'channel_preference.counts_as.', '') as channel, value"
        ~ " from program.settings where key like 'channel_preference.counts_as.%' order by key"
    ) -%}
    {%- if rows | length == 0 -%}
        {{ channel }}
    {%- else -%}
        case {{ channel }}
            {%- for row in rows %}
            when {{ text_literal(row[0]) }} then {{ text_literal(row[1]) }}
            {%- endfor %}
            else {{ channel }}
        end
    {%- endif -%}
{%- endmacro %}

{#- Place of a channel in the program's list, by which equal ones are ordered. -#}
{% macro channel_place(channel) -%}
    {%- set rows = listed(
        "select value from program.settings where key like 'channel_preference.channels.%'"
        ~ " order by cast(replace(key, 'channel_preference.channels.', '') as integer)"
    ) -%}
    case {{ channel }}
        {%- for row in rows %}
        when {{ text_literal(row[0]) }} then {{ loop.index }}
        {%- else %}
        when '' then 0
        {%- endfor %}
    end
{%- endmacro %}

{#- The part of the day (program.dayparts) a minute after local midnight lies in; null in none. -#}
{% macro daypart(minute) -%}
    {%- set parts = listed(dayparts_query()) -%}
    case
        {%- for part in parts %}
        when {{ minute }} >= {{ part["from_minute"] }} and {{ minute }} < {{ part["until_minute"] }}
            then {{ text_literal(part["daypart"]) }}
        {%- else %}
        when {{ minute }} is null then ''
        {%- endfor %}
    end
{%- endmacro %}

{#- Parts of the day in order, with their limits as minutes after midnight. -#}
{% macro dayparts_query() -%}
    {%- set from_time = quoted("from") -%}
    select
        position as place,
        id as daypart,
        {{ minute_of_text(from_time) }} as from_minute,
        {{ minute_of_text("until") }} as until_minute
    from program.dayparts
    order by position
{%- endmacro %}

{#- Minutes after midnight of a text HH:MM. -#}
{% macro minute_of_text(text) -%}
    cast(substr({{ text }}, 1, 2) as integer) * 60 + cast(substr({{ text }}, 4, 2) as integer)
{%- endmacro %}

{#- Minutes after midnight of a time, in the zone it is in. -#}
{% macro minute_of(time) -%}
    (extract(hour from {{ time }}) * 60 + extract(minute from {{ time }}))
{%- endmacro %}

{#-
    One row per customer with everything the rules of tags look at, under the names that
    careloop.program.tag_sql uses. The model has the relations profile, customers, most and
    recorded. Counts of an entity that nothing was loaded of are unknown.
-#}
{% macro tag_inputs() -%}
    {%- set inputs = listed("select kind, name, needs from program.tag_inputs") -%}
    select
        profile.customer_id,
        profile.customer_type,
        {%- for input in inputs if input["kind"] == "measure" and input["name"] != "customer_type" %}
        {%- if input["needs"] %}
        case when recorded.has_{{ input["needs"] }} then profile.{{ input["name"] }} end
            as {{ input["name"] }},
        {%- else %}
        profile.{{ input["name"] }},
        {%- endif %}
        {%- endfor %}
        {%- for input in inputs if input["kind"] == "column" %}
        nullif(trim(customers.{{ input["name"] }}), '') as customers_{{ input["name"] }},
        {%- endfor %}
        {%- for input in inputs if input["kind"] == "most" %}
        {%- for column in ["value", "events", "all_events", "share", "last_on"] %}
        {{ input["name"] }}_most.{{ column }} as {{ input["name"] }}_{{ column }},
        {%- endfor %}
        {%- endfor %}
        coalesce({{ local_date("customers.updated_at") }}, profile.registered_on)
            as customer_updated_on,
        {{ as_of_date() }} as evaluated_on
    from profile
    cross join recorded
    left join customers on profile.customer_id = customers.customer_id
    {%- for input in inputs if input["kind"] == "most" %}
    left join most as {{ input["name"] }}_most
        on
            profile.customer_id = {{ input["name"] }}_most.customer_id
            and {{ input["name"] }}_most.kind = '{{ input["name"] }}'
    {%- endfor %}
{%- endmacro %}

{#- Rows of program.tag_rules in order: the rules as SQL over the columns of tag_inputs. -#}
{% macro tag_rules() -%}
    {{- return(listed(
        "select r.tag, r.value_sql, r.filled_sql, r.evidence_sql, r.evidence_on_sql,"
        ~ " r.applies_sql, t.refresh_days"
        ~ " from program.tag_rules r join program.tags t on r.tag = t.id order by r.position"
    )) -}}
{%- endmacro %}

{#- A rule's expression for customers the tag applies to; null for the others. -#}
{% macro where_applies(rule, expression) -%}
    {%- if rule["applies_sql"] -%}
        case when {{ rule["applies_sql"] }} then {{ expression }} end
    {%- else -%}
        {{ expression }}
    {%- endif -%}
{%- endmacro %}

{#- One row per row of a relation and tag, in one pass. -#}
{% macro tags_of(relation) -%}
    {{- return(adapter.dispatch("tags_of", "careloop")(relation)) -}}
{%- endmacro %}

{% macro default__tags_of(relation) -%}
    select
        customer_id,
        inline(array(
            {%- for rule in tag_rules() %}
            named_struct(
                'tag', '{{ rule["tag"] }}',
                'value', {{ where_applies(rule, rule["value_sql"]) }},
                'evidence', {{ rule["evidence_sql"] }},
                'evidence_on', {{ rule["evidence_on_sql"] }},
                'refresh_days', {{ rule["refresh_days"] or "cast(null as integer)" }}
            ){{ "," if not loop.last }}
            {%- endfor %}
        ))
    from {{ relation }}
{%- endmacro %}

{% macro duckdb__tags_of(relation) -%}
    select
        customer_id,
        unnest([
            {%- for rule in tag_rules() %}
            struct_pack(
                tag := '{{ rule["tag"] }}',
                value := {{ where_applies(rule, rule["value_sql"]) }},
                evidence := {{ rule["evidence_sql"] }},
                evidence_on := {{ rule["evidence_on_sql"] }},
                refresh_days := {{ rule["refresh_days"] or "cast(null as integer)" }}
            ){{ "," if not loop.last }}
            {%- endfor %}
        ], recursive := true)
    from {{ relation }}
{%- endmacro %}

{#- One row: whether anything was loaded of the entities whose counts would else be 0. -#}
{% macro recorded_entities() -%}
    select
        (select count(*) > 0 from (select 1 as one from {{ ref("stg_tickets") }} limit 1) as t)
            as has_tickets,
        (select count(*) > 0 from (select 1 as one from {{ ref("stg_interactions") }} limit 1) as i)
            as has_interactions
{%- endmacro %}

{#- How many tags a customer has (value), could have (applies), or is judged on (filled). -#}
{% macro count_true(rules, what) -%}
    {%- for rule in rules %}
        {%- if what == "value" %}
        {%- set test = where_applies(rule, rule["value_sql"]) ~ " is not null" -%}
        {%- elif what == "filled" %}
        {%- set test = where_applies(rule, rule["filled_sql"]) -%}
        {%- else %}
        {%- set test = rule["applies_sql"] or "true" -%}
        {%- endif %}
        {{ "+ " if not loop.first }}case when {{ test }} then 1 else 0 end
    {%- else %}0{% endfor %}
{%- endmacro %}

{#- Tags that apply to a customer and cannot be judged, each followed by a space. -#}
{% macro missing_tags(rules) -%}
    concat(''
        {%- for rule in rules %},
        case when {{ where_applies(rule, "not " ~ rule["filled_sql"]) }}
            then '{{ rule["tag"] }} ' else '' end
        {%- endfor %})
{%- endmacro %}

{#- A list `a, b` of the program as SQL literals for `in (…)`. -#}
{% macro words(listing) -%}
    {%- set texts = [] -%}
    {%- for word in (listing or "").split(", ") -%}{%- do texts.append(text_literal(word)) -%}{%- endfor -%}
    {{- return(texts | join(", ")) -}}
{%- endmacro %}

{#- The form of content of a tag that a kind of interaction shows; null for other kinds. -#}
{% macro content_form(kind, tag) -%}
    {%- set forms = listed(
        "select id, kinds from program.tag_forms where tag = " ~ text_literal(tag)
        ~ " order by position"
    ) -%}
    case
        {%- for form in forms %}
        when {{ kind }} in ({{ words(form["kinds"]) }}) then {{ text_literal(form["id"]) }}
        {%- else %}
        when {{ kind }} = '' then ''
        {%- endfor %}
    end
{%- endmacro %}

{#- A number of a time of day as customers write it, e.g. 18:00-20:00: hour, minute, twice. -#}
{% macro time_part(text, place) -%}
    cast(nullif(regexp_extract(
        {{ text }}, '^([0-9]{1,2})[:：]([0-9]{2}) *[-–—~～至到] *([0-9]{1,2})[:：]([0-9]{2})$', {{ place }}
    ), '') as integer)
{%- endmacro %}

{#- Minutes after midnight as HH:MM. -#}
{% macro clock_text(minute) -%}
    {%- set hours -%}cast(floor(({{ minute }}) / 60) as integer){%- endset -%}
    lpad(cast({{ hours }} as string), 2, '0') || ':'
    || lpad(cast(cast({{ minute }} as integer) - 60 * {{ hours }} as string), 2, '0')
{%- endmacro %}
