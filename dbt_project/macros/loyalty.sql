{#-
    A date moved on by a duration of the pack such as 90d, 2w, 6mo, 1q or 1y, by the calendar:
    a month after 31 January is the last of February.
-#}
{% macro plus_duration(day, duration) -%}
    {%- set amount = duration | replace("mo", "") | replace("d", "") | replace("w", "")
        | replace("q", "") | replace("y", "") | int -%}
    {%- set unit = duration | replace(amount | string, "") -%}
    {%- set parts = {
        "d": ("day", 1), "w": ("week", 1), "mo": ("month", 1), "q": ("month", 3), "y": ("year", 1),
    } -%}
    {%- if unit not in parts -%}
        {{- exceptions.raise_compiler_error(duration ~ " is not a duration in whole days") -}}
    {%- endif -%}
    cast({{ dbt.dateadd(parts[unit][0], amount * parts[unit][1], day) }} as date)
{%- endmacro %}

{#- Rows of program.tiers, the lowest first; none for a pack without loyalty. -#}
{% macro loyalty_tiers() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.tiers order by position")) -}}
{%- endmacro %}

{#- A number of the pack as people write it: 5000 instead of 5000.0. -#}
{% macro tier_limit(value) -%}
    {{- return(value | int if value == value | int else value) -}}
{%- endmacro %}

{#- Place of the tier of that name, 1 the lowest; 0 for none and for names the pack lacks. -#}
{% macro tier_position(name) -%}
    case coalesce({{ name }}, '')
        when '' then 0
        {%- for tier in loyalty_tiers() %}
        when {{ text_literal(tier["id"]) }} then {{ tier["position"] }}
        {%- endfor %}
        else 0
    end
{%- endmacro %}

{#- Name of the tier at a place; null below every tier. -#}
{% macro tier_name(position) -%}
    cast(case {{ position }}
        when 0 then null
        {%- for tier in loyalty_tiers() %}
        when {{ tier["position"] }} then {{ text_literal(tier["id"]) }}
        {%- endfor %}
    end as {{ dbt.type_string() }})
{%- endmacro %}

{#- Place of the highest tier whose limit on spend or interactions is reached. -#}
{% macro earned_tier_position(spend, interactions) -%}
    case
        when {{ spend }} is null then 0
        {%- for tier in loyalty_tiers() | reverse %}
        {%- set limits = [] %}
        {%- for measure, value in [("spend", spend), ("interactions", interactions)] %}
            {%- if tier["min_" ~ measure] is not none %}
                {%- do limits.append(value ~ " >= " ~ tier_limit(tier["min_" ~ measure])) %}
            {%- endif %}
        {%- endfor %}
        when {{ limits | join(" or ") }} then {{ tier["position"] }}
        {%- endfor %}
        else 0
    end
{%- endmacro %}

{#-
    The limits of the tier at a place with the customer's own values, over columns spend and
    interactions. only_reached: the first limit that is reached instead of all.
-#}
{% macro tier_limits_text(position, only_reached=false) -%}
    {%- set window = optional_setting_text("loyalty.window", "total") -%}
    {%- set types = {"spend": "decimal(18, 2)", "interactions": "bigint"} -%}
    case {{ position }}
        when 0 then ''
        {%- for tier in loyalty_tiers() %}
        when {{ tier["position"] }} then {{ "coalesce" if only_reached else "concat_ws" }}(
            {%- if not only_reached %}' or ', {% endif %}
            {%- for measure, type in types.items() if tier["min_" ~ measure] is not none %}
            {%- set limit = tier_limit(tier["min_" ~ measure]) %}
            case when {{ measure ~ " >= " ~ limit if only_reached else "true" }} then
                '{{ measure }}_{{ window }} ≥ {{ limit }} ('
                || cast(cast({{ measure }} as {{ type }}) as varchar) || ')'
            end{{ ", " if not loop.last }}
            {%- endfor %}
        )
        {%- endfor %}
    end
{%- endmacro %}

{#-
    The day a tier is lost for the nth time in a row (nth: column, from 1), if the first is kept
    until a day and nothing is earned in between; null if there are not so many tiers.
-#}
{% macro tier_drop_on(kept_until, nth) -%}
    case {{ nth }}
        when 0 then null
        {%- for tier in loyalty_tiers() %}
        when {{ loop.index }} then {{ nth_drop_on(kept_until, loop.index) }}
        {%- endfor %}
    end
{%- endmacro %}

{% macro nth_drop_on(kept_until, nth) -%}
    {%- set keep_for = optional_setting_text("loyalty.keep_for", "1y") -%}
    {%- set drop_on = namespace(sql="(" ~ kept_until ~ " + 1)") -%}
    {%- for _ in range(nth - 1) -%}
        {%- set drop_on.sql = "(" ~ plus_duration(drop_on.sql, keep_for) ~ " + 1)" -%}
    {%- endfor -%}
    {{- return(drop_on.sql) -}}
{%- endmacro %}

{#-
    How many tiers are lost by as_of of those above the one earned: one for each time that has
    run out since, or all at the first, as the pack says.
-#}
{% macro tiers_lost(held_position, earned_position, kept_until) -%}
    {%- set above = held_position ~ " - " ~ earned_position -%}
    case
        when {{ earned_position }} >= {{ held_position }} or {{ kept_until }} >= {{ as_of_date() }}
            then 0
        {%- if optional_setting_text("loyalty.drop", "one_step") == "to_earned" %}
        else {{ above }}
        {%- else %}
        else least(
            {{ above }},
            {%- for tier in loyalty_tiers() %}
            case when {{ nth_drop_on(kept_until, loop.index) }} <= {{ as_of_date() }}
                then 1 else 0 end +
            {%- endfor %}
            0
        )
        {%- endif %}
    end
{%- endmacro %}

{#-
    Whose points count: `none` for a pack without points, `crm` or `computed`. With the pack's
    `auto` it is the CRM's ledger as soon as that has an entry by as_of.
-#}
{% macro points_ledger() -%}
    {%- set ledger = optional_setting_text("loyalty.points.ledger", "none") -%}
    {%- if ledger != "auto" or not execute -%}{{- return(ledger) -}}{%- endif -%}
    {%- set query -%}
        select count(*) from (
            select 1 from raw.points where {{ quoted("at") }} <= {{ as_of_utc() }} limit 1
        ) as entries
    {%- endset -%}
    {{- return("crm" if program_rows(query)[0][0] else "computed") -}}
{%- endmacro %}

{#- Rows of program.point_earnings: what earns points, by reason. -#}
{% macro point_earnings() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.point_earnings order by position")) -}}
{%- endmacro %}

{#- `true` where the ledger is computed and something earns points for this reason. -#}
{% macro earns_points(reason) -%}
    {%- set reasons = point_earnings() | map(attribute="reason") | list -%}
    {{- return("true" if points_ledger() == "computed" and reason in reasons else "false") -}}
{%- endmacro %}

{#- Keeps no more purchases of a day than earn points, the first ones. -#}
{% macro capped_purchases(customer, happened_at, key) -%}
    {%- for earning in point_earnings() -%}
        {%- if earning["reason"] == "purchase" and earning["most_per_day"] is not none -%}
            qualify row_number() over (
                partition by {{ customer }}, {{ local_date(happened_at) }}
                order by {{ happened_at }}, {{ key }}
            ) <= {{ earning["most_per_day"] }}
        {%- endif -%}
    {%- endfor -%}
{%- endmacro %}

{#-
    Share of the first order for the nth referral: that of the last step begun, or between two
    steps on a straight line from one to the next, as the pack says.
-#}
{% macro referral_share(nth) -%}
    {%- set query = "select * from program.referral_steps order by from_count desc" -%}
    {%- set steps = program_rows(query) if execute else [] -%}
    {%- set is_linear = optional_setting_text("loyalty.referrals.between", "step") == "linear" -%}
    case
        {%- for step in steps %}
        when {{ nth }} >= {{ step["from_count"] }} then {{ step["reward_share"] }}
            {%- if is_linear and not loop.first %}
            + ({{ nth }} - {{ step["from_count"] }})
            * {{ steps[loop.index0 - 1]["reward_share"] - step["reward_share"] }}
            / {{ steps[loop.index0 - 1]["from_count"] - step["from_count"] }}
            {%- endif %}
        {%- else %}
        when {{ nth }} is null then null
        {%- endfor %}
    end
{%- endmacro %}
