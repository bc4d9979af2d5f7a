with

order_lines as (
    select * from {{ source("raw", "order_lines") }}
),

final as (
    select
        order_id,
        line_no,
        product_id,
        quantity,
        unit_price,
        amount
    from order_lines
)

select * from final
