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

{#- The program's setting at a dotted path as text, or what holds for packs without it. -#}
{% macro optional_setting_text(key, otherwise) -%}
    {%- if not execute -%}{{- return(otherwise) -}}{%- endif -%}
    {%- set query -%}
        select value from program.settings where key = {{ text_literal(key) }}
    {%- endset -%}
    {%- set rows = program_rows(query) -%}
    {{- return(rows[0][0] if rows | length == 1 else otherwise) -}}
{%- endmacro %}

{#- Rows of program.tiers, the lowest first; none for a pack without loyalty. -#}
{% macro loyalty_tiers() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.tiers order by position")) -}}
{%- endmacro %}

{#- A number of the pack as people write it: 5000 instead of 5000.0. -#}
{% macro plain_number(value) -%}
    {{- return(value | int if value == value | int else value) -}}
{%- endmacro %}

{#- Whether the tier's spend or interactions are reached, over columns spend and interactions. -#}
{% macro tier_reached(tier) -%}
    {%- set limits = [] -%}
    {%- if tier["min_spend"] is not none -%}
        {%- do limits.append("spend >= " ~ plain_number(tier["min_spend"])) -%}
    {%- endif -%}
    {%- if tier["min_interactions"] is not none -%}
        {%- do limits.append("interactions >= " ~ plain_number(tier["min_interactions"])) -%}
    {%- endif -%}
    {{- return("(" ~ limits | join(" or ") ~ ")") -}}
{%- endmacro %}

{#- One limit of a tier with the customer's own value, or null if the tier does not have it. -#}
{% macro tier_limit_text(tier, measure, window) -%}
    {%- set limit = tier["min_" ~ measure] -%}
    {%- if limit is none -%}
        {{- return("null") -}}
    {%- endif -%}
    {%- set type = "decimal(18, 2)" if measure == "spend" else "bigint" -%}
    {{- return(
        "'" ~ measure ~ "_" ~ window ~ " ≥ " ~ plain_number(limit) ~ " (' || cast(cast("
        ~ measure ~ " as " ~ type ~ ") as varchar) || ')'"
    ) -}}
{%- endmacro %}

{#- The day a tier is lost for the nth time in a row, if it is kept until a day and not earned. -#}
{% macro tier_drop_on(kept_until, nth) -%}
    {%- set keep_for = optional_setting_text("loyalty.keep_for", "1y") -%}
    {%- set drop_on = namespace(sql="(" ~ kept_until ~ " + 1)") -%}
    {%- for _ in range(nth - 1) -%}
        {%- set drop_on.sql = "(" ~ plus_duration(drop_on.sql, keep_for) ~ " + 1)" -%}
    {%- endfor -%}
    {{- return(drop_on.sql) -}}
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
