{#- Asked for here, because dbt has to know all of them whatever the program says. -#}
{%- set all_orders = ref("int_orders") -%}
{%- set all_lines = ref("stg_order_lines") -%}
{%- set all_products = ref("int_products") -%}
{%- set all_purchases = ref("int_purchases") -%}
{%- set basket = optional_setting_text("next_product.basket") -%}
{%- set window_from = days_ago(optional_setting("next_product.window_days", "integer")) -%}
{%- set max_baskets = optional_setting("next_product.max_baskets", "integer") -%}
{%- set largest_basket = optional_setting("next_product.largest_basket", "integer") -%}

with

{% if basket == "order" -%}
orders as (
    select
        order_id,
        {{ share_by_hash("order_id") }} as draw
    from {{ all_orders }}
    where is_counted and {{ local_date("ordered_at") }} >= {{ window_from }}
),

order_lines as (
    select * from {{ all_lines }}
),

products as (
    select * from {{ all_products }}
),

chance as (
    select {{ max_baskets }} / nullif(count(*), 0) as share from orders
),

-- Drawn before they meet their lines: the lines of 200,000 orders instead of millions.
drawn_orders as (
    select orders.order_id
    from orders
    cross join chance
    where orders.draw < chance.share
),

drawn as (
    select distinct
        order_lines.order_id as basket_id,
        products.product_no
    from order_lines
    inner join drawn_orders on order_lines.order_id = drawn_orders.order_id
    inner join products on order_lines.product_id = products.product_id
),
{%- else -%}
purchases as (
    select
        customer_id,
        product_no,
        {{ share_by_hash("customer_id") }} as draw
    from {{ all_purchases }}
    where bought_on >= {{ window_from }}
),

chance as (
    select {{ max_baskets }} / nullif(count(distinct customer_id), 0) as share from purchases
),

drawn as (
    select distinct
        customer_id as basket_id,
        product_no
    from purchases
    where draw < (select chance.share from chance)
),
{%- endif %}

usual as (
    select basket_id
    from drawn
    group by basket_id
    having count(*) <= {{ largest_basket }}
),

final as (
    select drawn.*
    from drawn
    inner join usual on drawn.basket_id = usual.basket_id
)

select * from final
