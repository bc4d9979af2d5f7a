{%- set windows = ["short", "medium", "long"] -%}

with

orders as (
    select * from {{ ref("int_orders") }}
),

final as (
    select
        customer_id,
        count(*) as orders_placed,
        count(*) filter (where is_counted) as orders_total,
        {%- for window in windows %}
        count(*) filter (where is_counted and ordered_at >= {{ window_start(window) }})
            as orders_{{ window }},
        {%- endfor %}
        coalesce(sum(amount_program) filter (where is_counted), 0) as spend_total,
        {%- for window in windows %}
        coalesce(sum(amount_program) filter (
            where is_counted and ordered_at >= {{ window_start(window) }}
        ), 0)
            as spend_{{ window }},
        {%- endfor %}
        min(ordered_at) filter (where is_counted) as first_order_at,
        max(ordered_at) filter (where is_counted) as last_order_at,
        count(*) filter (where is_counted and discount_amount > 0) as orders_discounted,
        count(is_late) as deliveries_due,
        count(*) filter (where is_late) as deliveries_late
    from orders
    group by customer_id
)

select * from final
