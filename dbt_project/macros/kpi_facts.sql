{#-
    A query of the local days of each period of int_kpi_periods: day, period_type, period_start.
    Facts are put in periods by a join of equals on it. It is the same as comparing moments with
    the periods' beginnings and ends, for these are local midnights, or as_of for those that run:
    moments from as_of on are to be left out beforehand.
-#}
{% macro kpi_days() -%}
    select
        period_type,
        period_start,
        cast({{ dbt.dateadd("day", "day_no", "period_start") }} as date) as day
    from (
        select
            period_type,
            period_start,
            {{ each_number("0", days_between("period_start", "period_end") ~ " - 1") }} as day_no
        from {{ ref("int_kpi_periods") }}
    ) as numbered
{%- endmacro %}

{#- A sum or count of a KPI as all KPIs have it. -#}
{% macro kpi_sum(value) -%}
    cast({{ value }} as decimal(28, 6))
{%- endmacro %}

{#- The same for fractions, rounded row by row, so that no grouping changes a sum. -#}
{% macro kpi_part(value) -%}
    cast(round({{ value }}, 6) as decimal(28, 6))
{%- endmacro %}

{#-
    The columns of facts of KPIs, for the select list of a query that has period_type and
    period_start. What is not said is the column of the same name; owner_id, touchpoint and is_core
    are null then.
-#}
{% macro kpi_columns(
    kpi="kpi",
    customer_id="customer_id",
    owner_id="cast(null as varchar)",
    touchpoint="cast(null as varchar)",
    is_core="cast(null as boolean)",
    numerator="numerator",
    denominator="denominator"
) -%}
    {{ kpi }} as kpi,
    period_type,
    period_start,
    {{ customer_id }} as customer_id,
    {{ owner_id }} as owner_id,
    {{ touchpoint }} as touchpoint,
    {{ is_core }} as is_core,
    {{ kpi_sum(numerator) }} as numerator,
    {{ kpi_sum(denominator) }} as denominator
{%- endmacro %}

{#- 1 where a condition holds, else 0. -#}
{% macro one_if(condition) -%}
    case when {{ condition }} then 1 else 0 end
{%- endmacro %}

{#-
    A query of the periods of int_kpi_periods with the bit that stands for each in a set of
    periods: period_type, period_start, period_end, bit; without those that begin at as_of, of which
    nothing is seen yet. In what periods a customer was seen is one number.
-#}
{% macro kpi_period_bits() -%}
    select
        period_type,
        period_start,
        period_end,
        {{ bit_of("(row_number() over (order by period_type, period_start) - 1)") }} as bit
    from {{ ref("int_kpi_periods") }}
    where seen_until > starts_at
{%- endmacro %}

{#- The number whose only bit is the one with a number from 0 on; an error beyond 126 (Spark: 62). -#}
{% macro bit_of(number) -%}
    {{- return(adapter.dispatch("bit_of", "careloop")(number)) -}}
{%- endmacro %}

{% macro default__bit_of(number) -%}
    shiftleft(cast(1 as bigint), cast({{ number }} as integer))
{%- endmacro %}

{% macro duckdb__bit_of(number) -%}
    (cast(1 as hugeint) << cast({{ number }} as integer))
{%- endmacro %}

{#- Whether a set of bits has one. -#}
{% macro has_bit(bits, bit) -%}
    (({{ bits }} & {{ bit }}) <> 0)
{%- endmacro %}

{#- Columns of the customers entity that the pack wants of a complete profile. -#}
{% macro complete_fields() -%}
    {%- set query -%}
        select value
        from program.settings
        where key like 'profile.complete_fields.%'
        order by value
    {%- endset -%}
    {{- return(listed(query) | map(attribute=0) | list) -}}
{%- endmacro %}
