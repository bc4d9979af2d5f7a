{{ config(materialized="view") }}

{#-
    Days and counts have few values: they are ranked by distinct value, not by customer, which
    sorts almost nothing. Money has nearly as many values as customers and is ranked directly.
    Either way equal values get equal ranks and scores.
-#}
{%- set window = setting_text("rfm.window") if execute else "total" -%}

with

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

buyers as (
    select
        *,
        {{ days_since(local_date("last_order_at")) }} as days_since_last_order,
        -({{ days_since(local_date("last_order_at")) }}) as recency
    from customer_orders
    where orders_total > 0
),

{% for place in ["recency", "orders_total", "orders_" ~ window] | unique -%}
{{ place }}_places as (
    select
        {{ place }},
        sum(customers) over (order by {{ place }}) as at_or_below,
        sum(customers) over (order by {{ place }}) - customers as below,
        sum(customers) over () as buyers
    from (
        select
            {{ place }},
            count(*) as customers
        from buyers
        group by {{ place }}
    ) as counted
),

{% endfor -%}
money as (
    select
        customer_id,
        cume_dist() over (order by spend_total) as spend_rank,
        cume_dist() over (order by spend_long) as spend_long_rank,
        rank() over (order by spend_{{ window }}) - 1 as below,
        count(*) over () as buyers
    from buyers
),

scored as (
    select
        buyers.customer_id,
        money.spend_rank,
        money.spend_long_rank,
        orders_total_places.at_or_below / cast(orders_total_places.buyers as double)
            as frequency_rank,
        recency_places.at_or_below / cast(recency_places.buyers as double) as recency_rank,
        {{ rfm_score("recency_days", "buyers.days_since_last_order", "recency_places") }}
            as r_score,
        {{ rfm_score("frequency", "buyers.orders_" ~ window, "orders_" ~ window ~ "_places") }}
            as f_score,
        {{ rfm_score("monetary", "buyers.spend_" ~ window, "money") }} as m_score
    from buyers
    inner join money on buyers.customer_id = money.customer_id
    inner join orders_total_places on buyers.orders_total = orders_total_places.orders_total
    inner join recency_places on buyers.recency = recency_places.recency
    {%- if window != "total" %}
    inner join orders_{{ window }}_places
        on buyers.orders_{{ window }} = orders_{{ window }}_places.orders_{{ window }}
    {%- endif %}
),

final as (
    select
        *,
        r_score + f_score + m_score as rfm_sum,
        {{ rfm_group() }} as rfm_group
    from scored
)

select * from final
