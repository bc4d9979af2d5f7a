{%- set windows = {
    "orders": ["short", "medium", "long"],
    "interactions": ["short", "medium", "long"],
    "logins": ["short", "medium"],
    "visits": ["short", "medium", "long"],
    "tickets": ["medium", "long"],
    "complaints": ["medium", "long"],
} -%}

with

customers as (
    select * from {{ ref("stg_customers") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

customer_interactions as (
    select * from {{ ref("int_customer_interactions") }}
),

customer_tickets as (
    select * from {{ ref("int_customer_tickets") }}
),

joined as (
    select
        customers.customer_id,
        {%- for name, lengths in windows.items() %}
        {%- for window in lengths %}
        cast(coalesce({{ name }}_{{ window }}, 0) as integer) as {{ name }}_{{ window }},
        {%- endfor %}
        {%- endfor %}
        {%- for name in ["orders", "interactions", "logins", "visits"] %}
        cast(coalesce({{ name }}_total, 0) as integer) as {{ name }}_total,
        {{ local_date("first_" ~ name[:-1] ~ "_at") }} as first_{{ name[:-1] }}_on,
        {{ local_date("last_" ~ name[:-1] ~ "_at") }} as last_{{ name[:-1] }}_on,
        {%- endfor %}
        {{ local_date("first_ticket_at") }} as first_ticket_on,
        {{ local_date(
            "least(registered_at, first_order_at, first_interaction_at, first_ticket_at)"
        ) }} as known_since
    from customers
    left join customer_orders on customers.customer_id = customer_orders.customer_id
    left join customer_interactions
        on customers.customer_id = customer_interactions.customer_id
    left join customer_tickets on customers.customer_id = customer_tickets.customer_id
),

final as (
    select
        *,
        -- Nobody is observed before the first such event of all the data.
        {{ days_since("greatest(known_since, min(first_order_on) over ())") }}
            as orders_observed_days,
        {{ days_since("greatest(known_since, min(first_interaction_on) over ())") }}
            as interactions_observed_days,
        {{ days_since("greatest(known_since, min(first_ticket_on) over ())") }}
            as tickets_observed_days
    from joined
)

select * from final
