with

orders as (
    select * from {{ ref("int_orders") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.ordered_at,
        {{ local_date("orders.ordered_at") }} as ordered_on,
        orders.status,
        orders.is_counted,
        orders.is_counted and orders.ordered_at = customer_orders.first_order_at
            as is_first_order,
        orders.channel,
        orders.store_id,
        orders.amount,
        orders.currency,
        orders.amount_program,
        orders.promised_at,
        orders.delivered_at,
        orders.delivery_days,
        orders.is_late,
        orders.days_late,
        orders.source
    from orders
    left join customer_orders on orders.customer_id = customer_orders.customer_id
)

select * from final
