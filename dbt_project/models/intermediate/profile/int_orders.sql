{{ config(materialized="view") }}

{%- set as_of = as_of_utc() -%}

with

orders as (
    select * from {{ ref("stg_orders") }}
),

exchange_rates as (
    select * from {{ source("program", "exchange_rates") }}
),

delivered as (
    select
        orders.order_id,
        orders.customer_id,
        orders.ordered_at,
        orders.status,
        orders.amount,
        orders.discount_amount,
        orders.currency,
        orders.channel,
        orders.store_id,
        orders.paid_at,
        orders.shipped_at,
        orders.promised_at,
        orders.delivered_at,
        orders.cancelled_at,
        orders.source,
        -- Values already in the program's currency stay exact.
        case
            when exchange_rates.rate = 1 then orders.amount
            else cast(orders.amount * exchange_rates.rate as decimal(18, 4))
        end as amount_program,
        coalesce(orders.status not in ('cancelled', 'returned'), true) as is_counted,
        case
            when orders.promised_at is null then null
            when orders.delivered_at is not null then orders.delivered_at > orders.promised_at
            when orders.status in ('cancelled', 'returned') then null
            when orders.promised_at < {{ as_of }} then true
        end as is_late
    from orders
    left join exchange_rates on orders.currency = exchange_rates.currency
),

final as (
    select
        *,
        case
            when is_late then cast(ceil({{ seconds_between(
                "promised_at", "coalesce(delivered_at, " ~ as_of ~ ")"
            ) }} / 86400) as integer)
            when not is_late then 0
        end as days_late,
        cast({{ seconds_between("ordered_at", "delivered_at") }} / 86400 as decimal(9, 1))
            as delivery_days
    from delivered
)

select * from final
