with

customers as (
    select * from {{ ref("int_customer_tiers") }}
),

final as (
    select
        *,
        {{ as_of_utc() }} as as_of
    from customers
)

select * from final
