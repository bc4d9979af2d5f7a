{%- set as_of = as_of_utc() -%}

with

orders as (
    select * from {{ source("raw", "orders") }}
),

seen as (
    select
        order_id,
        customer_id,
        ordered_at,
        status as source_status,
        amount,
        discount_amount,
        coalesce(currency, {{ program_currency() }}) as currency,
        channel,
        store_id,
        {{ seen("paid_at", as_of) }} as paid_at,
        {{ seen("shipped_at", as_of) }} as shipped_at,
        promised_at,
        {{ seen("delivered_at", as_of) }} as delivered_at,
        {{ seen("cancelled_at", as_of) }} as cancelled_at,
        {{ seen("updated_at", as_of) }} as updated_at,
        -- The source knows today's status; a status whose time is after as_of is taken back.
        case
            when status in ('cancelled', 'returned') then cancelled_at > {{ as_of }}
            when status in ('delivered', 'completed') then delivered_at > {{ as_of }}
            when status = 'shipped' then shipped_at > {{ as_of }}
            when status in ('paid', 'preparing') then paid_at > {{ as_of }}
            else status is null
        end as is_status_later,
        _source as source
    from orders
    where ordered_at <= {{ as_of }}
),

final as (
    select
        order_id,
        customer_id,
        ordered_at,
        case
            when not coalesce(is_status_later, false) then source_status
            when cancelled_at is not null then 'cancelled'
            when delivered_at is not null then 'delivered'
            when shipped_at is not null then 'shipped'
            when paid_at is not null then 'paid'
            else 'pending'
        end as status,
        amount,
        discount_amount,
        currency,
        channel,
        store_id,
        paid_at,
        shipped_at,
        promised_at,
        delivered_at,
        cancelled_at,
        updated_at,
        source
    from seen
)

select * from final
