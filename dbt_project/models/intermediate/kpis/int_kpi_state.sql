{{ config(materialized="view") }}

{%- set fields = complete_fields() -%}

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
    select
        'core_segment_share' as kpi,
        customer_id,
        {{ kpi_sum("is_core") }} as numerator,
        {{ kpi_sum("1") }} as denominator
    from customers
    union all
    select
        'segment_coverage' as kpi,
        customer_id,
        {{ kpi_sum("has_segment") }} as numerator,
        {{ kpi_sum("1") }} as denominator
    from customers
    union all
    select
        'ltv' as kpi,
        customer_id,
        lifetime_value as numerator,
        {{ kpi_sum("1") }} as denominator
    from customers
    where lifetime_value is not null
    {%- if fields %}
    union all
    select
        'profile_completeness' as kpi,
        customer_id,
        {{ kpi_sum("filled_fields") }} as numerator,
        {{ kpi_sum(fields | length) }} as denominator
    from customers
    {%- endif %}
    union all
    select
        'tag_completeness' as kpi,
        customer_id,
        {{ kpi_sum("filled_tags") }} as numerator,
        {{ kpi_sum("applicable_tags") }} as denominator
    from customers
    where applicable_tags > 0
),

final as (
    select
        facts.kpi,
        periods.period_type,
        periods.period_start,
        facts.customer_id,
        cast(null as varchar) as owner_id,
        cast(null as varchar) as touchpoint,
        cast(null as boolean) as is_core,
        facts.numerator,
        facts.denominator
    from facts
    cross join periods
)

select * from final
