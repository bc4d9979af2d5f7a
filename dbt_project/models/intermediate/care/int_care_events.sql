{%- set as_of = as_of_utc() -%}
{%- set order_events = {
    "order_paid": "paid_at",
    "order_preparing": "preparing_at",
    "order_shipped": "shipped_at",
    "order_delivered": "delivered_at",
    "order_completed": "completed_at",
    "delivery_late": "late_at",
    "delivery_lost": "lost_at",
    "delivery_stalled": "stalled_at",
} -%}
{%- set columns = {
    "order_id": "varchar", "order_amount": "decimal(18, 2)", "currency": "varchar",
    "promised_on": "date", "days_late": "integer", "moved_on": "date", "is_returned": "boolean",
    "is_delivered": "boolean", "is_advanced": "boolean", "ticket_id": "varchar",
    "ticket_kind": "varchar", "urgency": "varchar", "touchpoint": "varchar",
    "is_answered": "boolean", "clock": "varchar", "step": "varchar", "new_due_at": "timestamp",
    "why": "varchar", "answer_due_at": "timestamp", "solution_due_at": "timestamp",
    "response_id": "varchar", "survey_kind": "varchar", "score": "decimal(18, 2)",
    "scale_max": "decimal(18, 2)", "incident_id": "varchar", "referral_id": "varchar",
    "product_id": "varchar", "due_on": "date", "points": "bigint", "expires_on": "date",
} -%}
{%- set parts = {
    "order": [
        "order_id", "order_amount", "currency", "promised_on", "days_late", "moved_on",
        "is_returned", "is_delivered", "is_advanced",
    ],
    "placed": ["order_id", "order_amount", "currency", "is_returned", "is_delivered"],
    "customer": [],
    "cart": ["product_id"],
    "ticket": ["ticket_id", "ticket_kind", "urgency", "touchpoint", "is_answered"],
    "opened": [
        "ticket_id", "ticket_kind", "urgency", "touchpoint", "is_answered", "answer_due_at",
        "solution_due_at",
    ],
    "overdue": [
        "ticket_id", "ticket_kind", "urgency", "touchpoint", "is_answered", "clock", "step",
        "new_due_at", "why",
    ],
    "score": ["response_id", "survey_kind", "score", "scale_max", "ticket_id", "order_id"],
    "incident": ["incident_id", "ticket_id"],
    "referral": ["referral_id"],
    "point": ["points", "expires_on"],
    "replacement": ["product_id", "due_on"],
} -%}
{%- set promise_days = optional_setting("late_delivery.promise_days", "integer") -%}
{%- set remind_days = optional_setting(
    "next_product.replacement.remind_days_before", "integer"
) -%}
{%- set expiring_within = optional_setting_text("loyalty.points.expiring_within", "30d") -%}

with

days as (
    select * from {{ ref("int_care_days") }}
),

customers as (
    select * from {{ ref("stg_customers") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

customer_interactions as (
    select * from {{ ref("int_customer_interactions") }}
),

interactions as (
    select * from {{ ref("stg_interactions") }}
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

overdue as (
    select * from {{ ref("int_care_overdue") }}
),

surveys as (
    select * from {{ ref("stg_surveys") }}
),

low_scores as (
    select * from {{ source("program", "low_scores") }}
),

clocks as (
    select
        clocks.*,
        targets.stops
    from {{ ref("int_clocks") }} as clocks
    inner join {{ ref("int_sla_targets") }} as targets
        on clocks.target_key = targets.target_key
    where
        clocks.case_kind = 'ticket'
        and clocks.is_open
        and clocks.started_at >= {{ care_event_from("ticket_opened") }}
),

incident_tickets as (
    select * from {{ ref("int_incident_tickets") }}
),

customer_points as (
    select * from {{ ref("int_customer_points") }}
),

replacements as (
    select * from {{ ref("fct_replacements_due") }}
),

referrals as (
    select * from {{ ref("stg_referrals") }}
),

products as (
    select * from {{ ref("int_products") }}
),

-- Who has a counted order from before the look-back ordered for the first time before it.
awaited as (
    select
        customer_id,
        last_order_at,
        coalesce(first_order_at >= {{ care_event_from("first_order") }}, true) as is_newcomer
    from customer_orders
    where
        coalesce(first_order_at >= {{ care_event_from("first_order") }}, true)
        or last_order_at between {{ care_event_from("last_order") }}
        and {{ care_event_until("last_order") }}
),

-- The one look at all orders: those of which something lies in the look-back.
recent as (
    select
        orders.*,
        awaited.last_order_at,
        awaited.is_newcomer,
        awaited.customer_id is not null as is_awaited
    from {{ ref("stg_orders") }} as orders
    left join awaited
        on
            orders.customer_id = awaited.customer_id
            and (awaited.is_newcomer or orders.ordered_at = awaited.last_order_at)
    where
        awaited.customer_id is not null
        or orders.paid_at >= {{ care_event_from("order_paid") }}
        or (
            orders.status = 'preparing'
            and coalesce(orders.updated_at, orders.paid_at)
            >= {{ care_event_from("order_preparing") }}
        )
        or orders.shipped_at >= {{ care_event_from("order_shipped") }}
        or orders.delivered_at >= {{ care_event_from("order_delivered") }}
        or (
            orders.status = 'completed'
            and coalesce(orders.delivered_at, orders.updated_at)
            >= {{ care_event_from("order_completed") }}
        )
        or (
            coalesce(orders.promised_at, orders.shipped_at) >= {{ care_promised_from() }}
            and coalesce(orders.promised_at, orders.shipped_at) <= {{ as_of }}
        )
        or (
            orders.status in ('paid', 'preparing', 'shipped')
            and greatest(orders.paid_at, orders.shipped_at, orders.updated_at)
            >= {{ care_moved_from() }}
        )
),

promised as (
    select
        recent.order_id,
        recent.customer_id,
        recent.status,
        recent.paid_at,
        recent.shipped_at,
        recent.delivered_at,
        case when recent.status = 'preparing' then coalesce(recent.updated_at, recent.paid_at) end
            as preparing_at,
        case
            when recent.status = 'completed' then coalesce(recent.delivered_at, recent.updated_at)
        end as completed_at,
        recent.cancelled_at,
        recent.updated_at,
        coalesce(recent.promised_at, days.ends_at) as promised_at,
        cast(recent.amount as decimal(18, 2)) as order_amount,
        recent.currency,
        coalesce(recent.status in ('cancelled', 'returned'), false)
        or recent.cancelled_at is not null as is_returned,
        coalesce(recent.status in ('delivered', 'completed'), false)
        or recent.delivered_at is not null as is_delivered,
        coalesce(recent.status = 'preparing', false) as is_being_prepared,
        coalesce(recent.status = 'shipped', false) or recent.shipped_at is not null as is_shipped
    from recent
    left join days
        on
            recent.promised_at is null
            and {{ local_date("recent.shipped_at") }} + {{ promise_days }} = days.day
),

late_times as (
    select
        *,
        {{ local_date("promised_at") }} as promised_on,
        {{ care_later("promised_at", "late_delivery.late_after") }} as late_from,
        {{ care_later("promised_at", "late_delivery.lost_after") }} as lost_from,
        {{ care_moved_at() }} as moved_at
    from promised
),

order_times as (
    select
        *,
        case when {{ care_undelivered_at("late_from") }} then late_from end as late_at,
        case when {{ care_undelivered_at("lost_from") }} then lost_from end as lost_at,
        case
            when coalesce(late_from > {{ as_of }}, true)
                then {{ care_later("moved_at", "late_delivery.no_movement_after") }}
        end as stalled_at,
        {{ local_date("moved_at") }} as moved_on
    from late_times
),

order_events as (
    {%- for event, time in order_events.items() %}
    select
        customer_id,
        '{{ event }}' as event,
        '{{ event }}:' || order_id as occasion,
        {{ time }} as occurred_at,
        order_id,
        order_amount,
        currency,
        promised_on,
        case
            when promised_at <= {{ as_of }} then cast({{ days_since("promised_on") }} as integer)
        end as days_late,
        moved_on,
        is_returned,
        is_delivered,
        {{ {
            "order_paid": "is_being_prepared or is_shipped or is_delivered",
            "order_preparing": "is_shipped or is_delivered",
        }.get(event, "is_delivered") }} as is_advanced
    from order_times
    where {{ time }} >= {{ care_event_from(event) }} and {{ time }} <= {{ as_of }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

placed as (
    select * from recent
    where is_awaited and status is distinct from 'cancelled'
),

first_orders as (
    select *
    from placed
    where is_newcomer
    qualify
        row_number() over (partition by customer_id order by ordered_at, order_id) = 1
        and ordered_at >= {{ care_event_from("first_order") }}
),

last_orders as (
    select *
    from placed
    where
        ordered_at = last_order_at
        and ordered_at between {{ care_event_from("last_order") }}
        and {{ care_event_until("last_order") }}
        and coalesce(status <> 'returned', true)
    qualify row_number() over (partition by customer_id order by order_id desc) = 1
),

placed_events as (
    {%- for event in ["first_order", "last_order"] %}
    select
        customer_id,
        '{{ event }}' as event,
        '{{ event }}:' || order_id as occasion,
        ordered_at as occurred_at,
        order_id,
        cast(amount as decimal(18, 2)) as order_amount,
        currency,
        coalesce(status in ('cancelled', 'returned'), false) or cancelled_at is not null
            as is_returned,
        coalesce(status in ('delivered', 'completed'), false) or delivered_at is not null
            as is_delivered
    from {{ event }}s
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

customer_events as (
    select
        customer_id,
        'registered' as event,
        'registered' as occasion,
        registered_at as occurred_at
    from customers
    where registered_at >= {{ care_event_from("registered") }}
    union all
    select
        customer_id,
        'last_interaction' as event,
        'last_interaction:' || cast({{ local_date("last_interaction_at") }} as varchar) as occasion,
        last_interaction_at as occurred_at
    from customer_interactions
    where
        last_interaction_at between {{ care_event_from("last_interaction") }}
        and {{ care_event_until("last_interaction") }}
),

cart_events as (
    select
        customer_id,
        'cart_abandoned' as event,
        'cart_abandoned:' || interaction_id as occasion,
        occurred_at,
        product_id
    from interactions
    where kind = 'cart_abandon' and occurred_at >= {{ care_event_from("cart_abandoned") }}
),

ticket_events as (
    select
        customer_id,
        'ticket_solved' as event,
        'ticket_solved:' || ticket_id || ':' || cast({{ local_date("resolved_at") }} as varchar)
            as occasion,
        resolved_at as occurred_at,
        ticket_id,
        kind as ticket_kind,
        urgency,
        touchpoint,
        true as is_answered
    from tickets
    where
        resolved_at >= {{ care_event_from("ticket_solved") }}
        and customer_id is not null
),

-- What is promised to whoever has just asked: an answer by a person, and the solution.
opened_events as (
    select
        tickets.customer_id,
        'ticket_opened' as event,
        'ticket_opened:' || tickets.ticket_id as occasion,
        tickets.opened_at as occurred_at,
        tickets.ticket_id,
        min(tickets.kind) as ticket_kind,
        min(tickets.urgency) as urgency,
        min(tickets.touchpoint) as touchpoint,
        bool_or(coalesce(
            tickets.acknowledged_at, tickets.first_response_at, tickets.resolved_at,
            tickets.closed_at
        ) is not null) as is_answered,
        min(clocks.due_at) filter (where clocks.stops = 'first_response') as answer_due_at,
        min(clocks.due_at) filter (where clocks.stops in ('solved', 'closed')) as solution_due_at
    from tickets
    left join clocks on tickets.ticket_id = clocks.case_id
    where
        tickets.opened_at >= {{ care_event_from("ticket_opened") }}
        and tickets.customer_id is not null
    group by tickets.customer_id, tickets.ticket_id, tickets.opened_at
),

overdue_events as (
    select
        customer_id,
        'ticket_overdue' as event,
        occasion,
        occurred_at,
        ticket_id,
        ticket_kind,
        urgency,
        touchpoint,
        is_answered,
        clock,
        step,
        new_due_at,
        why
    from overdue
),

-- Questions asked at one moment about the same thing are one survey; its worst answer counts.
judged as (
    select
        surveys.*,
        {{ score_share() }} as share,
        min(surveys.response_id) over (
            partition by
                surveys.customer_id, coalesce(surveys.asked_at, surveys.answered_at),
                surveys.order_id, surveys.ticket_id
        ) as survey_id
    from surveys
    where
        surveys.customer_id in (
            select recent_answers.customer_id from surveys as recent_answers
            where recent_answers.answered_at >= {{ care_event_from("low_score") }}
        )
),

score_events as (
    select
        judged.customer_id,
        'low_score' as event,
        'low_score:' || judged.survey_id as occasion,
        judged.answered_at as occurred_at,
        judged.survey_id as response_id,
        judged.kind as survey_kind,
        cast(judged.score as decimal(18, 2)) as score,
        cast(judged.scale_max as decimal(18, 2)) as scale_max,
        judged.ticket_id,
        judged.order_id
    from judged
    inner join low_scores on judged.kind = low_scores.kind
    where
        judged.share <= low_scores.at_most
        and judged.answered_at >= {{ care_event_from("low_score") }}
    qualify row_number() over (
        partition by judged.customer_id, judged.survey_id
        order by judged.answered_at, judged.share, judged.response_id
    ) = 1
),

-- Whoever reports the problem later is touched from then on.
concerned as (
    select
        tickets.customer_id,
        'incident' as event,
        'incident:' || incident_tickets.incident_id as occasion,
        greatest(incident_tickets.began_at, tickets.opened_at) as occurred_at,
        incident_tickets.incident_id,
        incident_tickets.ticket_id
    from incident_tickets
    inner join tickets on incident_tickets.ticket_id = tickets.ticket_id
    where tickets.customer_id is not null
    qualify row_number() over (
        partition by tickets.customer_id, incident_tickets.incident_id
        order by tickets.opened_at, tickets.ticket_id
    ) = 1
),

incident_events as (
    select * from concerned
    where occurred_at between {{ care_event_from("incident") }} and {{ as_of }}
),

referral_events as (
    select
        referrer_id as customer_id,
        'referral_converted' as event,
        'referral_converted:' || referral_id as occasion,
        converted_at as occurred_at,
        referral_id
    from referrals
    where
        converted_at >= {{ care_event_from("referral_converted") }}
        and referrer_id is distinct from referred_id
),

-- Points and replacements come up at the beginning of the day on which they are first in sight.
point_events as (
    select
        customer_points.customer_id,
        'points_expiring' as event,
        'points_expiring:' || cast(customer_points.next_expiry_on as varchar) as occasion,
        days.starts_at as occurred_at,
        customer_points.expiring as points,
        customer_points.next_expiry_on as expires_on
    from customer_points
    inner join days
        on
            {{ care_day_before("customer_points.next_expiry_on", expiring_within) }} + 1
            = days.day
    where
        customer_points.expiring > 0
        and days.starts_at between {{ care_event_from("points_expiring") }} and {{ as_of }}
),

replacement_events as (
    select
        replacements.customer_id,
        'replacement_due' as event,
        'replacement_due:' || replacements.product_id || ':'
        || cast(replacements.due_on as varchar) as occasion,
        days.starts_at as occurred_at,
        replacements.product_id,
        replacements.due_on
    from replacements
    inner join days on replacements.due_on - {{ remind_days }} = days.day
    where days.starts_at between {{ care_event_from("replacement_due") }} and {{ as_of }}
),

happened as (
    {%- for part, own in parts.items() %}
    select
        customer_id,
        event,
        occasion,
        occurred_at
        {%- for column, type in columns.items() %}
        {%- set unknown = "cast(null as " ~ type ~ ") as " ~ column %},
        {{ column if column in own else unknown }}
        {%- endfor %}
    from {{ part }}_events
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

final as (
    select
        happened.customer_id,
        happened.event,
        happened.occasion,
        happened.occurred_at,
        {{ local_date("happened.occurred_at") }} as occurred_on,
        happened.order_id,
        happened.order_amount,
        happened.currency,
        happened.promised_on,
        happened.days_late,
        happened.moved_on,
        happened.is_returned,
        happened.is_delivered,
        happened.is_advanced,
        happened.ticket_id,
        happened.ticket_kind,
        happened.urgency,
        happened.touchpoint,
        happened.is_answered,
        happened.clock,
        happened.step,
        happened.new_due_at,
        happened.why,
        happened.answer_due_at,
        happened.solution_due_at,
        happened.response_id,
        happened.survey_kind,
        happened.score,
        happened.scale_max,
        happened.incident_id,
        happened.referral_id,
        happened.product_id,
        products.name as product_name,
        products.category,
        happened.due_on,
        happened.points,
        happened.expires_on
    from happened
    left join products on happened.product_id = products.product_id
)

select * from final
