{%- set kept = keeps_register("customers_and_tags") -%}
{%- set products_shown = 3 -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
    where {{ kept }}
),

customers as (
    select * from {{ ref("stg_customers") }}
    where {{ kept }}
),

tags as (
    select * from {{ ref("fct_customer_tags") }}
    where {{ kept }}
),

orders as (
    select * from {{ ref("int_orders") }}
    where {{ kept }} and is_counted
),

order_lines as (
    select * from {{ ref("stg_order_lines") }}
    where {{ kept }}
),

products as (
    select * from {{ ref("stg_products") }}
),

definitions as (
    select * from {{ source("program", "tags") }}
),

bands as (
    select * from {{ source("program", "tag_bands") }}
),

named as (
    select
        tags.customer_id,
        definitions.position,
        tags.tag || case when tags.value = 'yes' then '' else ': ' || tags.value end as tag,
        definitions.title_en
        || case
            when tags.value = 'yes' then ''
            else ': ' || coalesce(bands.title_en, tags.value)
        end as tag_en,
        definitions.title_zh
        || case
            when tags.value = 'yes' then ''
            else '：' || coalesce(bands.title_zh, tags.value)
        end as tag_zh
    from tags
    inner join definitions on tags.tag = definitions.id
    left join bands on tags.tag = bands.tag and tags.value = bands.id
),

tag_lists as (
    select
        customer_id,
        {{ text_list("tag", "; ", "position") }} as tags,
        {{ text_list("tag_en", "; ", "position") }} as tags_en,
        {{ text_list("tag_zh", "；", "position") }} as tags_zh
    from named
    group by customer_id
),

bought as (
    select
        orders.customer_id,
        order_lines.product_id,
        count(*) as times
    from order_lines
    inner join orders on order_lines.order_id = orders.order_id
    group by orders.customer_id, order_lines.product_id
),

most_bought as (
    select
        bought.customer_id,
        coalesce(products.name, bought.product_id) as product,
        row_number() over (
            partition by bought.customer_id order by bought.times desc, bought.product_id asc
        ) as place
    from bought
    left join products on bought.product_id = products.product_id
),

product_lists as (
    select
        customer_id,
        {{ text_list("product", ", ", "place") }} as products
    from most_bought
    where place <= {{ products_shown }}
    group by customer_id
),

final as (
    select
        profile.customer_id,
        profile.industry,
        customers.cooperation_start_on as cooperation_start,
        tag_lists.tags,
        tag_lists.tags_en,
        tag_lists.tags_zh,
        profile.spend_total as history_amount,
        case
            when profile.orders_total > 0
                then
                    {{ program_currency() }} || ' '
                    || cast(cast(profile.spend_total as decimal(18, 2)) as varchar)
                    || coalesce('; ' || product_lists.products, '')
        end as history,
        profile.last_interaction_on as last_interaction
    from profile
    inner join customers on profile.customer_id = customers.customer_id
    left join tag_lists on profile.customer_id = tag_lists.customer_id
    left join product_lists on profile.customer_id = product_lists.customer_id
)

select * from final
