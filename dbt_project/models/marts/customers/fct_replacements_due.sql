{%- set prefix = "next_product.replacement." -%}
{%- set show_days = optional_setting(prefix ~ "show_days_before", "integer") -%}
{%- set remind_days = optional_setting(prefix ~ "remind_days_before", "integer") -%}
{%- set forget_days = optional_setting(prefix ~ "forget_days_after", "integer") -%}

with

purchases as (
    select * from {{ ref("int_purchases") }}
),

products as (
    select
        *,
        {{ days_ago("replacement_days + " ~ forget_days) }} as bought_from,
        {{ days_ago("replacement_days - " ~ show_days) }} as bought_until
    from {{ ref("int_products") }}
    where replacement_days is not null
),

-- Only purchases that lead to a date in sight: grouping all of them would take seconds.
in_sight as (
    select
        purchases.customer_id,
        purchases.product_no,
        max(purchases.bought_on) as last_bought_on
    from purchases
    inner join products on purchases.product_no = products.product_no
    where purchases.bought_on between products.bought_from and products.bought_until
    group by purchases.customer_id, purchases.product_no
),

-- A later purchase starts the clock anew.
bought_again as (
    select distinct
        in_sight.customer_id,
        in_sight.product_no
    from purchases
    inner join in_sight
        on
            purchases.customer_id = in_sight.customer_id
            and purchases.product_no = in_sight.product_no
            and purchases.bought_on > in_sight.last_bought_on
),

dated as (
    select
        in_sight.customer_id,
        products.product_id,
        products.replacement_days,
        in_sight.last_bought_on,
        {{ days_after("in_sight.last_bought_on", "products.replacement_days") }} as due_on
    from in_sight
    inner join products on in_sight.product_no = products.product_no
    left join bought_again
        on
            in_sight.customer_id = bought_again.customer_id
            and in_sight.product_no = bought_again.product_no
    where bought_again.customer_id is null
),

final as (
    select
        customer_id,
        product_id,
        replacement_days,
        last_bought_on,
        due_on,
        cast({{ days_between(as_of_date(), "due_on") }} as integer) as days_until,
        case
            when due_on < {{ as_of_date() }} then 'overdue'
            when {{ days_between(as_of_date(), "due_on") }} <= {{ remind_days }} then 'due'
            else 'upcoming'
        end as state
    from dated
)

select * from final
