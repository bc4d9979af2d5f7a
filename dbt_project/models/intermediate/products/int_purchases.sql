with

orders as (
    select * from {{ ref("int_orders") }}
),

order_lines as (
    select * from {{ ref("stg_order_lines") }}
),

products as (
    select * from {{ ref("int_products") }}
),

recent_orders as (
    select
        orders.order_id,
        orders.customer_id,
        {{ local_date("orders.ordered_at") }} as bought_on
    from orders
    where
        orders.is_counted
        and {{ local_date("orders.ordered_at") }} >= (select min(products.kept_from) from products)
),

final as (
    select
        recent_orders.customer_id,
        products.product_no,
        products.category_no,
        recent_orders.bought_on
    from order_lines
    inner join recent_orders on order_lines.order_id = recent_orders.order_id
    inner join products on order_lines.product_id = products.product_id
    where recent_orders.bought_on >= products.kept_from
)

select * from final
