{%- set rules = tag_rules() -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

customers as (
    select * from {{ ref("stg_customers") }}
),

most as (
    select * from {{ ref("int_customer_most") }}
),

recorded as (
    {{ recorded_entities() }}
),

inputs as (
    {{ tag_inputs() }}
),

judged as (
    select
        customer_id,
        customer_type,
        {{ count_true(rules, "value") }} as tag_count,
        {{ count_true(rules, "applies") }} as applicable_tags,
        {{ count_true(rules, "filled") }} as filled_tags,
        {{ missing_tags(rules) }} as missing_tags
    from inputs
),

final as (
    select
        customer_id,
        customer_type,
        cast(tag_count as integer) as tag_count,
        cast(applicable_tags as integer) as applicable_tags,
        cast(filled_tags as integer) as filled_tags,
        filled_tags / cast(nullif(applicable_tags, 0) as double) as tag_completeness,
        nullif(missing_tags, '') as missing_tags
    from judged
)

select * from final
