{%- set as_of = as_of_utc() -%}

with

days as (
    {{ kpi_days() }}
),

periods as (
    {{ kpi_period_bits() }}
),

day_bits as (
    select
        days.day,
        bit_or(periods.bit) as bits
    from days
    inner join periods
        on days.period_type = periods.period_type and days.period_start = periods.period_start
    group by days.day
),

-- The large tables are read once: each row becomes the set of periods it lies in.
orders as (
    select
        orders.customer_id,
        bit_or(day_bits.bits) as bits
    from {{ ref("int_orders") }} as orders
    inner join day_bits on {{ local_date("orders.ordered_at") }} = day_bits.day
    where orders.is_counted and orders.ordered_at < {{ as_of }}
    group by orders.customer_id
),

interactions as (
    select
        interactions.customer_id,
        bit_or(day_bits.bits) as bits
    from {{ ref("stg_interactions") }} as interactions
    inner join day_bits on {{ local_date("interactions.occurred_at") }} = day_bits.day
    where interactions.occurred_at < {{ as_of }}
    group by interactions.customer_id
),

tickets as (
    select
        tickets.customer_id,
        coalesce(tickets.kind = 'complaint', false) as is_complaint,
        bit_or(day_bits.bits) as bits
    from {{ ref("stg_tickets") }} as tickets
    inner join day_bits on {{ local_date("tickets.opened_at") }} = day_bits.day
    where tickets.opened_at < {{ as_of }}
    group by tickets.customer_id, coalesce(tickets.kind = 'complaint', false)
),

seen as (
    select
        customer_id,
        bits as ordered_in,
        null as interacted_in,
        null as asked_in,
        null as complained_in
    from orders
    union all
    select
        customer_id,
        null as ordered_in,
        bits as interacted_in,
        null as asked_in,
        null as complained_in
    from interactions
    union all
    select
        customer_id,
        null as ordered_in,
        null as interacted_in,
        bits as asked_in,
        case when is_complaint then bits end as complained_in
    from tickets
),

final as (
    select
        customer_id,
        {%- for set in ["ordered_in", "interacted_in", "asked_in", "complained_in"] %}
        coalesce(bit_or({{ set }}), 0) as {{ set }}{{ "," if not loop.last }}
        {%- endfor %}
    from seen
    where customer_id is not null
    group by customer_id
)

select * from final
