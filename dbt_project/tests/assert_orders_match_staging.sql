-- The joins of fct_orders (rates, first orders) must neither lose nor double an order.
with

staged as (
    select
        count(*) as orders,
        sum(amount) as amount
    from {{ ref("stg_orders") }}
),

published as (
    select
        count(*) as orders,
        sum(amount) as amount
    from {{ ref("fct_orders") }}
)

select
    staged.orders as staged_orders,
    published.orders as published_orders,
    staged.amount as staged_amount,
    published.amount as published_amount
from staged
cross join published
where staged.orders <> published.orders or staged.amount is distinct from published.amount
