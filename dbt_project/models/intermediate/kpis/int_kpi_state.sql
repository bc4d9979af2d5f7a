{{ config(materialized="view") }}

{%- set fields = complete_fields() -%}
{#- Numerator and denominator of a customer: known and above 0, else the customer is left out. -#}
{%- set kpis = {
    "core_segment_share": ["is_core", "1"],
    "segment_coverage": ["has_segment", "1"],
    "ltv": ["lifetime_value", "1"],
    "profile_completeness": ["filled_fields", fields | length],
    "tag_completeness": ["filled_tags", "applicable_tags"],
} -%}

with

periods as (
    select
        period_type,
        period_start
    from {{ ref("int_kpi_periods") }}
    where period_start <= {{ as_of_date() }} and period_end > {{ as_of_date() }}
),

targets as (
    select
        position,
        segment
    from {{ source("program", "kpi_targets") }}
    where kpi = 'core_segment_share' and segment is not null
    union all
    select
        1000 + position as position,
        segment
    from {{ source("program", "segments") }}
),

best as (
    select segment from targets
    order by position
    limit 1
),

profile as (
    select
        customer_id,
        spend_total,
        predicted_value
    from {{ ref("int_customer_profile") }}
),

customers as (
    select
        profile.customer_id,
        {{ one_if("segments.segment = best.segment") }} as is_core,
        {{ one_if("segments.segment is not null") }} as has_segment,
        cast(coalesce(profile.spend_total, 0) + profile.predicted_value as decimal(28, 6))
            as lifetime_value,
        {%- for field in fields %}
        {{ one_if("customers." ~ field ~ " is not null") }} +
        {%- endfor %} 0 as filled_fields,
        tags.filled_tags,
        tags.applicable_tags
    from profile
    inner join {{ ref("stg_customers") }} as customers
        on profile.customer_id = customers.customer_id
    inner join {{ ref("int_customer_segments") }} as segments
        on profile.customer_id = segments.customer_id
    inner join {{ ref("int_customer_tag_summary") }} as tags
        on profile.customer_id = tags.customer_id
    cross join best
),

facts as (
    {%- for kpi, (numerator, denominator) in kpis.items() %}
    select
        '{{ kpi }}' as kpi,
        customer_id,
        {{ numerator }} as numerator,
        {{ denominator }} as denominator
    from customers
    where {{ numerator }} is not null and {{ denominator }} > 0
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

final as (
    select {{ kpi_columns() }}
    from facts
    cross join periods
)

select * from final
