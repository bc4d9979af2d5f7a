-- depends_on: {{ ref("int_customer_profile") }}
with

events as (
    select * from {{ ref("int_care_events") }}
),

days as (
    select * from {{ ref("int_care_days") }}
),

rule_days as (
    select * from {{ ref("int_care_rule_days") }}
),

occasion_days as (
    select
        date as day,
        occasion
    from {{ source("program", "occasion_days") }}
),

next_products as (
    select
        next_products.customer_id,
        next_products.product_id,
        products.name as product_name,
        products.category
    from {{ ref("fct_customer_next_products") }} as next_products
    left join {{ ref("int_products") }} as products
        on next_products.product_id = products.product_id
    where next_products.rank = 1
),

tags as (
    select * from {{ ref("fct_customer_tags") }}
),

final as (
    {{ care_candidates(ref("int_care_customers")) }}
)

select * from final
