{%- set is_on = optional_setting_text("next_product.window_days") is not none -%}
{%- set forget_days = optional_setting(
    "next_product.replacement.forget_days_after", "integer"
) -%}

with

listed as (
    select * from {{ ref("stg_products") }}
),

sold as (
    select distinct product_id
    from {{ ref("stg_order_lines") }}
    where product_id is not null
),

products as (
    select
        coalesce(listed.product_id, sold.product_id) as product_id,
        listed.name,
        nullif(trim(listed.category), '') as category,
        -- More than a century is no interval but a wrong entry, and would overflow a date.
        case
            when listed.replacement_days between 1 and 36500
                then cast(listed.replacement_days as integer)
        end as replacement_days
    from listed
    full join sold on listed.product_id = sold.product_id
),

numbered as (
    select
        product_id,
        name,
        category,
        replacement_days,
        -- Numbers, not ids: ten million purchases are grouped and joined by them.
        cast(row_number() over (order by product_id) as integer) as product_no,
        case
            when category is not null
                then cast(dense_rank() over (order by category) as integer)
        end as category_no
    from products
),

final as (
    select
        *,
        least(
            {%- if most_rule("category") %}
            {{ days_ago(most_rule("category")["window_days"]) }},
            {%- endif %}
            {{ days_ago(optional_setting("next_product.window_days", "integer")) }},
            {{ days_ago(optional_setting("next_product.because_of_days", "integer")) }},
            {%- if is_on and
                optional_setting_text("next_product.exclude_bought_days") is none %}
            date '0001-01-01',
            {%- else %}
            {{ days_ago(optional_setting("next_product.exclude_bought_days", "integer")) }},
            {%- endif %}
            {{ days_ago("replacement_days + " ~ forget_days) }}
        ) as kept_from
    from numbered
)

select * from final
