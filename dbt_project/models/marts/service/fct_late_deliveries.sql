{%- set as_of = as_of_utc() -%}
{%- set promise_days = setting("late_delivery.promise_days", "integer") -%}
{%- set events = "'delivery_late', 'delivery_lost', 'delivery_stalled'" -%}

with

orders as (
    select * from {{ ref("stg_orders") }}
),

shipping_days as (
    select distinct {{ local_date("shipped_at") }} as shipped_on
    from orders
    where promised_at is null and shipped_at is not null
),

usual_ends as (
    select
        shipped_on,
        {{ day_start_utc("shipped_on + " ~ promise_days ~ " + 1") }} as ends_at
    from shipping_days
),

promised as (
    select
        orders.order_id,
        orders.customer_id,
        orders.status,
        orders.paid_at,
        orders.shipped_at,
        orders.delivered_at,
        orders.cancelled_at,
        orders.updated_at,
        coalesce(orders.promised_at, usual_ends.ends_at) as promised_at
    from orders
    left join usual_ends
        on
            orders.promised_at is null
            and {{ local_date("orders.shipped_at") }} = usual_ends.shipped_on
    where
        -- What was delivered by the time promised is looked at no further.
        not coalesce(orders.delivered_at <= orders.promised_at, false)
        and coalesce(orders.status not in ('pending', 'cancelled', 'returned'), true)
        and orders.cancelled_at is null
),

dated as (
    select
        *,
        {{ care_later("promised_at", "late_delivery.late_after") }} as late_from,
        {{ care_later("promised_at", "late_delivery.lost_after") }} as lost_from,
        {{ care_later(care_moved_at(), "late_delivery.no_movement_after") }} as stalled_from,
        coalesce(status in ('delivered', 'completed'), false) or delivered_at is not null
            as is_delivered
    from promised
),

judged as (
    select
        *,
        case
            when is_delivered then case when delivered_at > late_from then 'delivered_late' end
            when lost_from <= {{ as_of }} then 'lost'
            when late_from <= {{ as_of }} then 'late'
            when stalled_from <= {{ as_of }} then 'stalled'
        end as state
    from dated
),

found as (
    select
        *,
        case state when 'lost' then lost_from when 'stalled' then stalled_from else late_from end
            as found_at
    from judged
    where state is not null
),

messages as (
    select
        message_id,
        occasion,
        offer
    from {{ source("ledger", "messages") }}
    where
        as_of < {{ as_of }}
        and split_part(occasion, ':', 1) in ({{ events }})
),

states as (
    select * from {{ ref("int_care_message_states") }}
),

told as (
    select
        substr(messages.occasion, position(':' in messages.occasion) + 1) as order_id,
        min(states.sent_at) as told_at,
        {{ last_row({
            "sent_at": "states.sent_at",
            "message_id": "messages.message_id",
            "offer": "messages.offer",
        }) }} filter (where messages.offer is not null) as offered
    from messages
    inner join states on messages.message_id = states.message_id
    where states.sent_at is not null
    group by substr(messages.occasion, position(':' in messages.occasion) + 1)
),

timed as (
    select
        found.order_id,
        found.customer_id,
        found.state,
        found.promised_at,
        found.delivered_at,
        found.found_at,
        {{ care_later("found.found_at", "late_delivery.tell_within") }} as tell_by_at,
        told.told_at,
        {{ field_of("told.offered", "offer") }} as offer
    from found
    left join told on found.order_id = told.order_id
),

final as (
    select
        order_id,
        customer_id,
        state,
        promised_at,
        delivered_at,
        found_at,
        tell_by_at,
        told_at,
        -- Whoever has not been told is told too late once the time is over, and till then not yet.
        case
            when told_at is not null then told_at <= tell_by_at
            when tell_by_at < {{ as_of }} then false
        end as told_in_time,
        case
            when state <> 'stalled'
                then
                    cast({{ days_between(
                        local_date("promised_at"),
                        "coalesce(" ~ local_date("delivered_at") ~ ", " ~ as_of_date() ~ ")",
                    ) }} as integer)
        end as days_late,
        offer,
        {{ setting("late_delivery.department") }} as department
    from timed
)

select * from final
