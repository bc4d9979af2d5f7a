{%- set as_of = as_of_utc() -%}
{%- set kinds = setting_list("operation.community_kinds") -%}
{%- set sets = [
    "ordered_in", "reordered_in", "ordered_before_dormant", "ordered_before_lost",
    "interacted_in", "interacted_before_dormant", "community_in", "community_before",
    "asked_in", "asked_before_dormant", "complained_in",
] -%}

with

days as (
    select * from {{ ref("int_kpi_days") }}
),

buyers as (
    select
        customer_id,
        first_order_at,
        {{ months_after(period_start("month", local_date("first_order_at")), "1") }}
            as returns_from,
        {{ months_after(period_start("month", local_date("first_order_at")), "13") }}
            as returns_until
    from {{ ref("int_customer_orders") }}
    where first_order_at is not null
),

registrations as (
    select
        customer_id,
        registered_at,
        {{ seconds_after("registered_at", "7 * 86400") }} as active_until
    from {{ ref("stg_customers") }}
    where registered_at is not null
),

-- The large tables are read once: each row becomes the set of periods it lies in or shortly before.
orders as (
    select
        orders.customer_id,
        min(orders.ordered_on) as first_ordered_on,
        bit_or(days.in_periods) as ordered_in,
        bit_or(case when orders.ordered_at > buyers.first_order_at then days.in_periods end)
            as reordered_in,
        bit_or(days.before_dormant) as ordered_before_dormant,
        bit_or(days.before_lost) as ordered_before_lost,
        bool_or(
            orders.ordered_on >= buyers.returns_from and orders.ordered_on < buyers.returns_until
        ) as is_retained,
        bool_or(
            orders.ordered_at > registrations.registered_at
            and orders.ordered_at <= registrations.active_until
        ) as is_activated
    from {{ ref("fct_orders") }} as orders
    inner join buyers on orders.customer_id = buyers.customer_id
    left join registrations on orders.customer_id = registrations.customer_id
    left join days on orders.ordered_on = days.day
    where orders.is_counted and orders.ordered_at < {{ as_of }}
    group by orders.customer_id
),

interactions as (
    select
        interactions.customer_id,
        min(interactions.occurred_at) as first_interacted_at,
        bit_or(days.in_periods) as interacted_in,
        bit_or(days.before_dormant) as interacted_before_dormant,
        bit_or(case when interactions.kind in ({{ kinds }}) then days.in_periods end)
            as community_in,
        bit_or(case when interactions.kind in ({{ kinds }}) then days.before_community end)
            as community_before,
        bool_or(
            interactions.occurred_at > registrations.registered_at
            and interactions.occurred_at <= registrations.active_until
        ) as is_activated
    from {{ ref("stg_interactions") }} as interactions
    left join registrations on interactions.customer_id = registrations.customer_id
    left join days on {{ local_date("interactions.occurred_at") }} = days.day
    where interactions.occurred_at < {{ as_of }}
    group by interactions.customer_id
),

tickets as (
    select
        tickets.customer_id,
        min({{ local_date("tickets.opened_at") }}) as first_asked_on,
        bit_or(days.in_periods) as asked_in,
        bit_or(days.before_dormant) as asked_before_dormant,
        bit_or(case when tickets.kind = 'complaint' then days.in_periods end) as complained_in
    from {{ ref("stg_tickets") }} as tickets
    left join days on {{ local_date("tickets.opened_at") }} = days.day
    where tickets.opened_at < {{ as_of }} and tickets.customer_id is not null
    group by tickets.customer_id
),

known as (
    select customer_id from orders
    union
    select customer_id from interactions
    union
    select customer_id from tickets
),

final as (
    select
        known.customer_id,
        orders.first_ordered_on,
        interactions.first_interacted_at,
        tickets.first_asked_on,
        {%- for set in sets %}
        coalesce({{ set }}, 0) as {{ set }},
        {%- endfor %}
        coalesce(orders.is_retained, false) as is_retained,
        coalesce(orders.is_activated, false) or coalesce(interactions.is_activated, false)
            as is_activated
    from known
    left join orders on known.customer_id = orders.customer_id
    left join interactions on known.customer_id = interactions.customer_id
    left join tickets on known.customer_id = tickets.customer_id
)

select * from final
