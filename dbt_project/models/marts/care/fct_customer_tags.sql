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
    {{ tags_of("inputs") }}
),

final as (
    select
        customer_id,
        tag,
        value,
        evidence,
        evidence_on,
        {{ as_of_date() }} + refresh_days as expires_on,
        {{ as_of_date() }} as evaluated_on
    from judged
    where value is not null
)

select * from final
