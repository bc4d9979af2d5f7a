{{ config(materialized="view") }}

{#-
    Ranked by the distinct values of each axis instead of by customer: equal values share a
    place by construction, and days and counts have few values, so little is sorted.
-#}
{%- set window = setting_text("rfm.window") if execute else "total" -%}
{%- set axes = {
    "spend": "spend_total",
    "spend_long": "spend_long",
    "frequency": "orders_total",
    "recency": "recency",
    "f_window": "orders_" ~ window,
    "m_window": "spend_" ~ window,
} -%}

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

{% for axis, value in axes.items() -%}
{{ axis }}_places as (
    select
        value,
        sum(customers) over (order by value) as at_or_below,
        sum(customers) over (order by value) - customers as below,
        sum(customers) over () as buyers
    from (
        select
            {{ value }} as value,
            count(*) as customers
        from buyers
        group by value
    ) as counted
),

{% endfor -%}
scored as (
    select
        buyers.customer_id,
        {%- for axis in ["spend", "spend_long", "frequency", "recency"] %}
        {{ axis }}_places.at_or_below / cast({{ axis }}_places.buyers as double)
            as {{ axis }}_rank,
        {%- endfor %}
        {{ rfm_score("recency_days", "buyers.days_since_last_order", "recency_places") }}
            as r_score,
        {{ rfm_score("frequency", "buyers.orders_" ~ window, "f_window_places") }} as f_score,
        {{ rfm_score("monetary", "buyers.spend_" ~ window, "m_window_places") }} as m_score
    from buyers
    inner join spend_places on buyers.spend_total = spend_places.value
    inner join spend_long_places on buyers.spend_long = spend_long_places.value
    inner join frequency_places on buyers.orders_total = frequency_places.value
    inner join recency_places on buyers.recency = recency_places.value
    inner join f_window_places on buyers.orders_{{ window }} = f_window_places.value
    inner join m_window_places on buyers.spend_{{ window }} = m_window_places.value
),

final as (
    select
        *,
        r_score + f_score + m_score as rfm_sum,
        {{ rfm_group() }} as rfm_group
    from scored
)

select * from final
