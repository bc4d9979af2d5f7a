with

purchases as (
    select * from {{ ref("int_purchases") }}
),

products as (
    select * from {{ ref("int_products") }}
),

categories as (
    select distinct
        category_no,
        category
    from products
    where category_no is not null
),

bought as (
    select
        customer_id,
        category_no,
        count(*) as purchases,
        coalesce(sum(amount), 0) as amount,
        max(bought_on) as last_bought_on
    from purchases
    where
        category_no is not null
        and bought_on >= {{ days_ago(setting("profile.windows.long_days", "integer")) }}
    group by customer_id, category_no
),

final as (
    select
        bought.customer_id,
        categories.category,
        bought.purchases,
        bought.amount,
        bought.last_bought_on,
        bought.purchases / sum(bought.purchases) over (partition by bought.customer_id) as share,
        row_number() over (
            partition by bought.customer_id
            order by
                bought.purchases desc,
                bought.amount desc,
                bought.last_bought_on desc,
                bought.category_no asc
        ) as rank
    from bought
    inner join categories on bought.category_no = categories.category_no
)

select * from final
