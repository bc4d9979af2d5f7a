with

products as (
    select * from {{ source("raw", "products") }}
),

final as (
    select
        product_id,
        name,
        category,
        price,
        replacement_days,
        _source as source
    from products
)

select * from final
