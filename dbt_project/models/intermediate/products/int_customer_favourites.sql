with

categories as (
    select * from {{ ref("int_customer_categories") }}
),

final as (
    select
        customer_id,
        category as favourite_category,
        share as favourite_category_share,
        purchases as favourite_category_purchases,
        amount as favourite_category_amount,
        last_bought_on as favourite_category_last_on
    from categories
    where rank = 1
)

select * from final
