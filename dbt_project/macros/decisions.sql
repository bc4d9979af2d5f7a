{#-
    Channels as a set: every channel has a bit of its own (program.channels), so that what a rule
    asks for, what reaches the customer, what is allowed and what is suppressed are whole numbers
    and the channels that are left are their `&`.
-#}

{#- Set of the channels whose messages go to a column of contacts; none: to the customer's id. -#}
{% macro channels_to(address) -%}
    {%- if not execute -%}{{- return(1) -}}{%- endif -%}
    {%- set bits = [0] -%}
    {%- for row in program_rows("select address, bit from program.channels order by position") -%}
        {%- if row["address"] == address -%}{%- do bits.append(row["bit"]) -%}{%- endif -%}
    {%- endfor -%}
    {{- return(bits | sum) -}}
{%- endmacro %}

{#- Set of every channel. -#}
{% macro all_channels() -%}
    {%- if not execute -%}{{- return(1) -}}{%- endif -%}
    {{- return(program_rows("select sum(bit) as bits from program.channels")[0]["bits"] | int) -}}
{%- endmacro %}

{#- A date with a time of day in minutes, as a wall time. -#}
{% macro day_minute(day, minute) -%}
    {{- return(adapter.dispatch("day_minute", "careloop")(day, minute)) -}}
{%- endmacro %}

{% macro default__day_minute(day, minute) -%}
    timestampadd(minute, {{ minute }}, cast({{ day }} as timestamp))
{%- endmacro %}

{% macro duckdb__day_minute(day, minute) -%}
    (cast({{ day }} as timestamp) + to_minutes(cast({{ minute }} as bigint)))
{%- endmacro %}

{#- First 8 hex digits of the MD5 of a text, as a share from 0 to below 1. -#}
{% macro share_by_md5(text) -%}
    (cast({{ hash_number(text) }} as double) / 4294967296)
{%- endmacro %}

{#- About how many days a duration is, as careloop.program.base.rough_days counts. -#}
{% macro rough_days(amount, unit) -%}
    ({{ amount }} * case {{ unit }}
        when 's' then 1 / 86400.0
        when 'm' then 60 / 86400.0
        when 'h' then 3600 / 86400.0
        when 'd' then 1.0
        when 'w' then 7.0
        when 'mo' then 30.0
        when 'q' then 91.0
        when 'y' then 365.0
        when 'wd' then 7 / 5.0
    end)
{%- endmacro %}

{#- A date moved on by whole days, months … of columns that hold amount and unit of a duration. -#}
{% macro plus_units(day, amount, unit) -%}
    cast(case
        when {{ unit }} in ('d', 'w')
            then {{ days_after(day, amount ~ " * case " ~ unit ~ " when 'w' then 7 else 1 end") }}
        else {{ months_after(
            day,
            amount ~ " * case " ~ unit ~ " when 'y' then 12 when 'q' then 3 else 1 end"
        ) }}
    end as date)
{%- endmacro %}

{#- The date so many months after a date; beyond the end of a month it is that month's last day. -#}
{% macro months_after(day, months) -%}
    cast({{ dbt.dateadd("month", months, day) }} as date)
{%- endmacro %}

{#- Rows of program.caps in their order; none while dbt parses. -#}
{% macro care_caps() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.caps order by position")) -}}
{%- endmacro %}

{#- Whether a cap counts a contact, by the purpose, channel and cap group columns of a relation. -#}
{% macro cap_counts(cap, relation) -%}
    {%- set lists = [("purposes", "purpose"), ("channels", "channel"), ("groups", "cap_group")] -%}
    {%- set parts = ["true"] -%}
    {%- for listing, column in lists if cap[listing] -%}
        {%- set texts = [] -%}
        {%- for value in cap[listing].split(", ") -%}{%- do texts.append(text_literal(value)) -%}{%- endfor -%}
        {%- do parts.append(
            "coalesce(" ~ relation ~ "." ~ column ~ " in (" ~ texts | join(", ") ~ "), false)"
        ) -%}
    {%- endfor -%}
    ({{- parts | join(" and ") -}})
{%- endmacro %}

{#- Last day before the window of a cap that ends with a day: contacts after it count. -#}
{% macro cap_before(cap, day) -%}
    {%- set amount, unit = cap["per_amount"], cap["per_unit"] -%}
    {%- if unit in ("d", "w") -%}
        {{- days_after(day, "-" ~ amount * (7 if unit == "w" else 1)) -}}
    {%- else -%}
        {{- months_after(day, "-" ~ amount * {"mo": 1, "q": 3, "y": 12}[unit]) -}}
    {%- endif -%}
{%- endmacro %}

{#- First day whose window of a cap no longer has a contact of a day in it. -#}
{% macro cap_release(cap, day) -%}
    {%- set amount, unit = cap["per_amount"], cap["per_unit"] -%}
    {%- if unit in ("d", "w") -%}
        {{- days_after(day, amount * (7 if unit == "w" else 1)) -}}
    {%- else -%}
        {%- set moved = months_after(day, amount * {"mo": 1, "q": 3, "y": 12}[unit]) -%}
        case
            when {{ cap_before(cap, moved) }} >= {{ day }} then {{ moved }}
            else {{ days_after(moved, 1) }}
        end
    {%- endif -%}
{%- endmacro %}

{#- A text as JSON; null stays null. The texts here are ids and sentences without line breaks. -#}
{% macro json_text(value) -%}
    coalesce('"' || replace(replace(cast({{ value }} as varchar), '\\', '\\\\'), '"', '\"') || '"', 'null')
{%- endmacro %}

{#- A truth value as JSON. -#}
{% macro json_flag(value) -%}
    case when {{ value }} then 'true' else 'false' end
{%- endmacro %}

{#- A UTC timestamp as ISO text, to the second. -#}
{% macro iso_time(timestamp_utc) -%}
    {{- return(adapter.dispatch("iso_time", "careloop")(timestamp_utc)) -}}
{%- endmacro %}

{% macro default__iso_time(timestamp_utc) -%}
    date_format({{ timestamp_utc }}, "yyyy-MM-dd'T'HH:mm:ss'Z'")
{%- endmacro %}

{% macro duckdb__iso_time(timestamp_utc) -%}
    replace(cast(date_trunc('second', {{ timestamp_utc }}) as varchar), ' ', 'T') || 'Z'
{%- endmacro %}

{#- The text at `path.<value of a column>` of the settings, for the purposes there are. -#}
{% macro setting_text_of(path, column) -%}
    case {{ column }}
        {%- for purpose in ["service", "care", "marketing", "survey"] %}
        when '{{ purpose }}' then {{ setting(path ~ "." ~ purpose) }}
        {%- endfor %}
    end
{%- endmacro %}

{#- Whether a minute of the day is in the program's quiet hours. -#}
{% macro in_quiet_hours(minute) -%}
    {%- set starts, ends = setting_text("quiet_hours.starts"), setting_text("quiet_hours.ends") -%}
    ({{ minute }} >= {{ minute_of_text("'" ~ starts ~ "'") }}
    {{ "or" if starts > ends else "and" }} {{ minute }} < {{ minute_of_text("'" ~ ends ~ "'") }})
{%- endmacro %}

{#- Last day before the windows of all caps. -#}
{% macro earliest_cap_day(caps) -%}
    {%- set days = [] -%}
    {%- for cap in caps -%}{%- do days.append(cap_before(cap, as_of_date())) -%}{%- endfor -%}
    least({{ days | join(", ") }})
{%- endmacro %}

{#- Why a decision was stopped, in a sentence with its inputs. For fct_care_decisions only. -#}
{% macro gate_reason() -%}
    case concluded.first_gate
        when 'reachable'
            then case
                when concluded.is_known then 'no address for ' || asked.as_text
                else 'the customer is not known'
            end
        when 'fresh' then freshness.stale_text
        when 'consent'
            then case
                when (concluded.reachable_channels & concluded.refused_channels) <> 0
                    then 'said no to ' || concluded.purpose || ' on ' || refused.as_text
                        || ', last change on '
                        || cast({{ local_date("concluded.consent_changed_at") }} as varchar)
                else concluded.purpose || ' needs a yes; there is none for ' || reached.as_text
            end
        when 'suppression'
            then suppressed.as_text || ' not to be used: ' || concluded.suppression_reasons
        when 'reentry'
            then 'decided before, on '
                || cast({{ local_date("concluded.decided_as_of") }} as varchar)
        when 'cooldown'
            then case
                when concluded.cool_on > {{ as_of_date() }}
                    then 'last contact by this rule on '
                        || cast(concluded.last_contact_on as varchar)
                        || ', at least ' || concluded.cooldown || ' between two'
                else 'another occasion of this rule goes first, at least ' || concluded.cooldown
                    || ' between two'
            end
        when 'holdout' then 'left alone for comparison (' || concluded.holdout_scope || ')'
        when 'quiet_hours'
            then case concluded.timing
                when 'dropped' then 'quiet hours, and the program drops what falls into them'
                when 'expired'
                    then 'the first time allowed (' || concluded.waits_for || ') is '
                        || coalesce({{ iso_time("concluded.slot_at") }}, 'never')
                        || ', it expires at ' || {{ iso_time("concluded.expires_at") }}
                else concluded.waits_for || ': not before '
                    || cast(concluded.slot_on as varchar)
            end
        when 'caps' then concluded.full_caps
    end
{%- endmacro %}

{#-
    Every gate with its inputs as JSON, in order. For fct_care_decisions only. One concat of all
    pieces: a chain of `||` copies what it has so far at each of them, twice the time of the model.
-#}
{% macro gates_json() -%}
    concat(
        '{"reachable": {"ok": ', {{ json_flag("concluded.reachable_channels <> 0") }},
        ', "asked": ', asked.as_json,
        ', "reached": ', reached.as_json,
        '}, "fresh": {"ok": ', {{ json_flag("concluded.is_fresh") }},
        ', "age_days": ', freshness.ages_json,
        '}, "consent": {"ok": ', {{ json_flag("concluded.consented_channels <> 0") }},
        ', "policy": "', concluded.policy,
        '", "allowed": ', consented.as_json,
        ', "refused": ', refused.as_json,
        ', "changed_on": ', {{ json_word(local_date("concluded.consent_changed_at")) }},
        '}, "suppression": {"ok": ', {{ json_flag("concluded.open_channels <> 0") }},
        ', "suppressed": ', suppressed.as_json,
        ', "reasons": ', {{ json_text("concluded.suppression_reasons") }},
        ', "left": ', left_over.as_json,
        '}, "reentry": {"ok": ', {{ json_flag("concluded.decided_as_of is null") }},
        ', "decided_on": ', {{ json_word(local_date("concluded.decided_as_of")) }},
        '}, "cooldown": {"ok": ', {{ json_flag(
            "not concluded.waits_for_another and coalesce(concluded.cool_on <= "
            ~ as_of_date() ~ ", true)"
        ) }},
        ', "cooldown": ', {{ json_word("concluded.cooldown") }},
        ', "last_contact_on": ', {{ json_word("concluded.last_contact_on") }},
        ', "waits_for_another": ', {{ json_flag("concluded.waits_for_another") }},
        '}, "holdout": ', case
            when concluded.reached_holdout and concluded.has_holdout
                then concat(
                    '{"ok": ', {{ json_flag("concluded.holdout_scope is null") }},
                    ', "program_draw": ', {{ short_number("concluded.program_draw") }},
                    ', "program_share": {{ setting_text("holdout.share") }}, "rule_draw": ',
                    coalesce({{ short_number("concluded.rule_draw") }}, 'null'),
                    ', "rule_share": ', {{ short_number("concluded.rule_share") }}, '}'
                )
            when concluded.reached_holdout then '{"ok": true}'
            else 'null'
        end,
        ', "quiet_hours": ', case
            when concluded.timing is null then 'null'
            else concat(
                '{"ok": ', {{ json_flag("concluded.timing = 'today'") }},
                ', "channel": ', {{ json_word("concluded.channel") }},
                ', "waits_for": ', {{ json_word("concluded.waits_for") }},
                ', "first_at": ', {{ json_word(iso_time("concluded.slot_at")) }},
                ', "not_before": ', {{ json_word(iso_time("concluded.not_before")) }},
                ', "expires_at": ', {{ json_word(iso_time("concluded.expires_at")) }}, '}'
            )
        end,
        ', "caps": ', case
            when concluded.is_accepted is null then 'null'
            else concat(
                '{"ok": ', {{ json_flag("concluded.is_accepted") }},
                ', "exempt": ', {{ json_flag("concluded.is_cap_exempt") }},
                ', "caps": ', concluded.caps_json, '}'
            )
        end,
        '}'
    )
{%- endmacro %}

{#- A word, date or time as JSON; null stays null. -#}
{% macro json_word(value) -%}
    coalesce('"' || cast({{ value }} as varchar) || '"', 'null')
{%- endmacro %}

{#- A share as text, to six places. -#}
{% macro short_number(value) -%}
    cast(cast({{ value }} as decimal(9, 6)) as varchar)
{%- endmacro %}
