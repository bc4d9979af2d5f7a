{{ config(materialized="view") }}

{%- set as_of = as_of_utc() -%}
{%- set first_interacted_on = local_date("first_interacted_at") -%}
{%- set dormant_from = days_after(
    "periods.period_start", "-" ~ setting_text("activity.dormant_days")
) -%}
{%- set lost_from = days_after(
    "periods.period_start", "-" ~ setting_text("activity.lost_days")
) -%}
{#- KPIs of what customers do in a period: the set it is in for who did it, and who counts. -#}
{%- set activity_kpis = {
    "repurchase_rate": ["reordered_in", has_bit("customers.ordered_in", "periods.bit")],
    "wake_up_rate": [
        "active_in",
        "customers.first_active_on < " ~ dormant_from
        ~ " and not " ~ has_bit("customers.active_before", "periods.bit"),
    ],
    "win_back_rate": [
        "ordered_in",
        "customers.first_ordered_on < " ~ lost_from
        ~ " and not " ~ has_bit("customers.ordered_before_lost", "periods.bit"),
    ],
    "community_activity": [
        "community_in",
        has_bit("(customers.community_in | customers.community_before)", "periods.bit"),
    ],
} -%}

with

periods as (
    {{ kpi_period_bits() }}
),

period_days as (
    {{ kpi_days() }}
),

day_bits as (
    select * from {{ ref("int_kpi_days") }}
),

customers as (
    select
        *,
        {%- if setting_text("activity.dormant_measure") == "days_since_last_order" %}
        first_ordered_on as first_active_on,
        ordered_in as active_in,
        ordered_before_dormant as active_before
        {%- else %}
        least(first_ordered_on, {{ first_interacted_on }}, first_asked_on) as first_active_on,
        ordered_in | interacted_in | asked_in as active_in,
        ordered_before_dormant | interacted_before_dormant | asked_before_dormant as active_before
        {%- endif %}
    from {{ ref("int_kpi_activity") }}
),

disputes as (
    select distinct order_id
    from {{ ref("stg_tickets") }}
    where kind in ('complaint', 'return') and order_id is not null and opened_at < {{ as_of }}
),

-- The end of the last of the 12 months that follow the one of the first order.
cohorts as (
    select
        customer_id,
        is_retained,
        {{ days_after(
            months_after(period_start("month", "first_ordered_on"), "13"), "-1"
        ) }} as judged_on
    from customers
    where first_ordered_on is not null
),

-- Who registered before anything was recorded may have been active unseen.
recorded as (
    select
        coalesce(
            min(first_interacted_at),
            {{ day_start_utc("min(first_ordered_on)") }}
        ) as began_at
    from customers
),

registrations as (
    select
        customer_id,
        registered_at,
        {{ seconds_after("registered_at", "7 * 86400") }} as judged_at
    from {{ ref("stg_customers") }}
    where registered_at is not null
),

newcomers as (
    select
        registrations.customer_id,
        {{ local_date("registrations.judged_at") }} as judged_on,
        coalesce(customers.is_activated, false) as is_activated
    from registrations
    cross join recorded
    left join customers on registrations.customer_id = customers.customer_id
    where
        registrations.registered_at >= recorded.began_at
        and registrations.judged_at < {{ as_of }}
),

handled as (
    select
        customer_id,
        ordered_on as handled_on,
        1 as placed,
        0 as disputed,
        0 as due,
        0 as on_time
    from {{ ref("fct_orders") }}
    where ordered_at < {{ as_of }}
    union all
    select
        orders.customer_id,
        orders.ordered_on as handled_on,
        0 as placed,
        1 as disputed,
        0 as due,
        0 as on_time
    from {{ ref("fct_orders") }} as orders
    inner join disputes on orders.order_id = disputes.order_id
    where orders.ordered_at < {{ as_of }}
    union all
    select
        customer_id,
        {{ local_date("promised_at") }} as handled_on,
        0 as placed,
        0 as disputed,
        1 as due,
        {{ one_if("not is_late") }} as on_time
    from {{ ref("fct_orders") }}
    where ordered_at < {{ as_of }} and promised_at < {{ as_of }} and is_late is not null
),

-- Days that lie in the same periods are one: ten million orders are a third as many rows then.
spans as (
    select
        handled.customer_id,
        day_bits.in_periods,
        sum(handled.placed) as placed,
        sum(handled.disputed) as disputed,
        sum(handled.due) as due,
        sum(handled.on_time) as on_time
    from handled
    inner join day_bits on handled.handled_on = day_bits.day
    group by handled.customer_id, day_bits.in_periods
),

deliveries as (
    select
        periods.period_type,
        periods.period_start,
        spans.customer_id,
        sum(spans.placed) as placed,
        sum(spans.disputed) as disputed,
        sum(spans.due) as due,
        sum(spans.on_time) as on_time
    from spans
    inner join periods on {{ has_bit("spans.in_periods", "periods.bit") }}
    group by periods.period_type, periods.period_start, spans.customer_id
),

-- Both at once, so that so many rows need not be kept.
judged as (
    select 'dispute_rate' as kpi
    union all
    select 'delivery_on_time_rate' as kpi
),

facts as (
    {%- for kpi, (seen_in, condition) in activity_kpis.items() %}
    select
        '{{ kpi }}' as kpi,
        periods.period_type,
        periods.period_start,
        customers.customer_id,
        {{ one_if(has_bit("customers." ~ seen_in, "periods.bit")) }} as numerator,
        1 as denominator
    from customers
    cross join periods
    where {{ condition }}
    union all
    {%- endfor %}
    select
        'retention_12m' as kpi,
        period_days.period_type,
        period_days.period_start,
        cohorts.customer_id,
        {{ one_if("cohorts.is_retained") }} as numerator,
        1 as denominator
    from cohorts
    inner join period_days on cohorts.judged_on = period_days.day
    where cohorts.judged_on < {{ as_of_date() }}
    {%- for kpi, seen in {"activation_7d": "1", "new_customer_loss_7d": "0"}.items() %}
    union all
    select
        '{{ kpi }}' as kpi,
        period_days.period_type,
        period_days.period_start,
        newcomers.customer_id,
        case when newcomers.is_activated then {{ seen }} else 1 - {{ seen }} end as numerator,
        1 as denominator
    from newcomers
    inner join period_days on newcomers.judged_on = period_days.day
    {%- endfor %}
    union all
    select
        judged.kpi,
        deliveries.period_type,
        deliveries.period_start,
        deliveries.customer_id,
        case judged.kpi when 'dispute_rate' then deliveries.disputed else deliveries.on_time end
            as numerator,
        case judged.kpi when 'dispute_rate' then deliveries.placed else deliveries.due end
            as denominator
    from deliveries
    cross join judged
    where case judged.kpi when 'dispute_rate' then deliveries.placed else deliveries.due end > 0
),

final as (
    select {{ kpi_columns() }}
    from facts
)

select * from final
