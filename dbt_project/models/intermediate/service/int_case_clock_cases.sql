{%- set dimensions = ["segment", "stage", "tier"] -%}

with

targets as (
    select * from {{ ref("int_sla_targets") }}
),

customers as (
    select * from {{ ref("stg_customers") }}
),

staff as (
    select * from {{ ref("stg_staff") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
    where {{ sla_starts_with("first_deal") }}
),

changes as (
    select
        *,
        lead(as_of) over (partition by customer_id order by as_of, change_key) as left_at
    from {{ ref("fct_customer_changes") }}
    where dimension = 'churn_level' and {{ sla_starts_with("churn_alert") }}
),

levels as (
    select * from {{ source("program", "alert_levels") }}
),

calls as (
    select
        customer_id,
        done_at
    from {{ ref("stg_follow_ups") }}
    where method = 'call' and done_at is not null
),

-- Of the orders those of the last year or so: what the profile calls long ago is not followed up.
completed_orders as (
    select
        order_id,
        customer_id,
        coalesce(delivered_at, updated_at) as completed_at
    from {{ ref("stg_orders") }}
    where
        status = 'completed'
        and coalesce(delivered_at, updated_at) >= {{ window_start("long") }}
        and {{ sla_starts_with("order_completed") }}
),

surveys as (
    select
        order_id,
        asked_at
    from {{ ref("stg_surveys") }}
    where order_id is not null and asked_at is not null and {{ sla_starts_with("order_completed") }}
),

messages as (
    select
        message_id,
        replace(occasion, 'order_completed:', '') as order_id
    from {{ source("ledger", "messages") }}
    where
        occasion like 'order_completed:%'
        and {{ asks_for_survey("purpose", "rule") }}
        and kind = 'send'
        and as_of < {{ as_of_utc() }}
        and {{ sla_starts_with("order_completed") }}
),

sent as (
    select
        message_id,
        at_utc as sent_at
    from {{ source("ledger", "events") }}
    where state = 'sent' and at_utc <= {{ as_of_utc() }}
),

incidents as (
    select * from {{ ref("int_incidents") }}
    where {{ sla_starts_with("incident") }}
),

{% for dimension in dimensions -%}
{{ dimension }}s as (
    select * from {{ ref("int_customer_standings") }}
    where dimension = '{{ dimension }}' and {{ sla_asks_for(dimension) }}
),

{% endfor -%}
asked as (
    select
        order_id,
        asked_at
    from surveys
    union all
    select
        messages.order_id,
        sent.sent_at as asked_at
    from messages
    inner join sent on messages.message_id = sent.message_id
),

first_asked as (
    select
        order_id,
        min(asked_at) as asked_at
    from asked
    group by order_id
),

-- An alert begins when the customer enters a level from none or from a lower one.
alerts as (
    select
        changes.change_key,
        changes.customer_id,
        changes.as_of as began_at,
        changes.left_at
    from changes
    inner join levels on changes.to_value = levels.level
    left join levels as levels_before on changes.from_value = levels_before.level
    where coalesce(levels_before.position < levels.position, true)
),

to_call as (
    select
        'first_deal' as starts,
        'customer' as case_kind,
        customer_id as case_id,
        customer_id,
        first_order_at as started_at,
        cast(null as timestamp) as left_at
    from customer_orders
    where first_order_at is not null
    union all
    select
        'churn_alert' as starts,
        'alert' as case_kind,
        change_key as case_id,
        customer_id,
        began_at as started_at,
        left_at
    from alerts
),

called as (
    select
        to_call.starts,
        to_call.case_id,
        min(calls.done_at) as called_at
    from to_call
    inner join calls
        on
            to_call.customer_id = calls.customer_id
            and to_call.started_at <= calls.done_at
    group by to_call.starts, to_call.case_id
),

happened as (
    select
        to_call.starts,
        'customer_called' as stops,
        to_call.case_kind,
        to_call.case_id,
        to_call.customer_id,
        cast(null as varchar) as department,
        to_call.started_at,
        called.called_at as happened_at,
        least(to_call.left_at, {{ lapses_at("to_call.started_at") }}) as over_at
    from to_call
    left join called
        on
            to_call.starts = called.starts
            and to_call.case_id = called.case_id
    union all
    select
        'order_completed' as starts,
        'survey_asked' as stops,
        'order' as case_kind,
        completed_orders.order_id as case_id,
        completed_orders.customer_id,
        cast(null as varchar) as department,
        completed_orders.completed_at as started_at,
        -- Who was asked before has been asked.
        case
            when first_asked.asked_at is not null
                then greatest(first_asked.asked_at, completed_orders.completed_at)
        end as happened_at,
        {{ lapses_at("completed_orders.completed_at") }} as over_at
    from completed_orders
    left join first_asked on completed_orders.order_id = first_asked.order_id
    union all
    select
        'incident' as starts,
        'group_started' as stops,
        'incident' as case_kind,
        incident_id as case_id,
        cast(null as varchar) as customer_id,
        department,
        began_at as started_at,
        started_at as happened_at,
        cast(null as timestamp) as over_at
    from incidents
),

known as (
    select
        happened.*,
        segments.standing as segment,
        stages.standing as stage,
        tiers.standing as tier
    from happened
    left join segments
        on
            happened.customer_id = segments.customer_id
            and coalesce(happened.started_at >= segments.held_from, true)
            and coalesce(happened.started_at < segments.held_until, true)
    left join stages
        on
            happened.customer_id = stages.customer_id
            and coalesce(happened.started_at >= stages.held_from, true)
            and coalesce(happened.started_at < stages.held_until, true)
    left join tiers
        on
            happened.customer_id = tiers.customer_id
            and coalesce(happened.started_at >= tiers.held_from, true)
            and coalesce(happened.started_at < tiers.held_until, true)
),

fitting as (
    select
        known.*,
        targets.clock,
        targets.target_key
    from known
    inner join targets
        on
            known.starts = targets.starts
            and known.stops = targets.stops
            and coalesce(known.started_at >= targets.valid_from, true)
            and coalesce(known.started_at < targets.valid_until, true)
            and {{ empty_or_holds("targets.segments", "known.segment") }}
            and {{ empty_or_holds("targets.stages", "known.stage") }}
            and {{ empty_or_holds("targets.tiers", "known.tier") }}
    qualify row_number() over (
        partition by known.case_kind, known.case_id, known.stops
        order by targets.position, targets.target_key
    ) = 1
),

final as (
    select
        fitting.case_kind,
        fitting.case_id,
        fitting.customer_id,
        customers.account_manager_id as owner_id,
        coalesce(fitting.department, staff.department) as department,
        fitting.clock,
        fitting.target_key,
        1 as cycle,
        fitting.started_at,
        case
            when coalesce(fitting.happened_at <= fitting.over_at, true) then fitting.happened_at
        end as stopped_at,
        case
            when
                coalesce(fitting.happened_at > fitting.over_at, true)
                and fitting.over_at <= {{ as_of_utc() }}
                then fitting.over_at
        end as ended_at
    from fitting
    left join customers on fitting.customer_id = customers.customer_id
    left join staff on customers.account_manager_id = staff.staff_id
)

select * from final
