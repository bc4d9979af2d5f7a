with

orders as (
    select * from {{ ref("int_orders") }}
),

order_lines as (
    select
        order_id,
        product_id,
        coalesce(amount, cast(quantity * unit_price as decimal(18, 4))) as amount
    from {{ ref("stg_order_lines") }}
),

products as (
    select * from {{ ref("int_products") }}
),

exchange_rates as (
    select * from {{ source("program", "exchange_rates") }}
),

recent_orders as (
    select
        orders.order_id,
        orders.customer_id,
        {{ local_date("orders.ordered_at") }} as bought_on,
        exchange_rates.rate
    from orders
    left join exchange_rates on orders.currency = exchange_rates.currency
    where
        orders.is_counted
        and {{ local_date("orders.ordered_at") }} >= (select min(products.kept_from) from products)
),

final as (
    select
        recent_orders.customer_id,
        products.product_no,
        products.category_no,
        recent_orders.bought_on,
        case
            when recent_orders.rate = 1 then order_lines.amount
            else cast(recent_orders.rate * order_lines.amount as decimal(18, 4))
        end as amount
    from order_lines
    inner join recent_orders on order_lines.order_id = recent_orders.order_id
    inner join products on order_lines.product_id = products.product_id
    where recent_orders.bought_on >= products.kept_from
)

select * from final
