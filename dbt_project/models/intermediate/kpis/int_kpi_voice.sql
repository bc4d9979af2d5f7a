{{ config(materialized="view") }}

{%- set as_of = as_of_utc() -%}
{%- set scale_max = setting("operation.satisfaction_scale_max", "double") -%}
{#-
    KPIs of answers: which of them, and what is summed. Recommending is about the company: it
    belongs to the account manager, whoever had the ticket.
-#}
{%- set answer_kpis = {
    "satisfaction": ["kind = 'csat'", "points"],
    "satisfied_share": ["kind = 'csat'", "satisfied"],
    "touchpoint_satisfaction": ["kind = 'csat' and touchpoint is not null", "points"],
    "nps": ["kind = 'nps'", "recommends"],
    "negative_feedback_rate": ["true", "low"],
} -%}

with

days as (
    {{ kpi_days() }}
),

periods as (
    {{ kpi_period_bits() }}
),

active as (
    select
        customer_id,
        complained_in,
        ordered_in | interacted_in | asked_in as active_in
    from {{ ref("int_kpi_activity") }}
),

tickets as (
    select
        ticket_id,
        customer_id,
        {{ local_date("opened_at") }} as opened_on,
        touchpoint,
        owner_id,
        coalesce(kind = 'complaint', false) as is_complaint
    from {{ ref("stg_tickets") }}
    where opened_at < {{ as_of }}
),

ticket_owners as (
    select
        ticket_id,
        touchpoint,
        owner_id
    from {{ ref("stg_tickets") }}
),

touchpoints as (
    select id from {{ source("program", "touchpoints") }}
),

limits as (
    select
        kind,
        at_most
    from {{ source("program", "low_scores") }}
),

-- Of an answer without a scale nobody knows what it says.
scored as (
    select
        customer_id,
        ticket_id,
        kind,
        aspect,
        {{ local_date("answered_at") }} as answered_on,
        {{ score_share() }} as share,
        round({{ answer_value() }}, 9) as value
    from {{ ref("stg_surveys") }}
    where kind in ('csat', 'nps') and score is not null and answered_at < {{ as_of }}
),

judged as (
    select
        scored.customer_id,
        scored.kind,
        scored.answered_on,
        coalesce(ticket_owners.touchpoint, touchpoints.id) as touchpoint,
        ticket_owners.owner_id,
        {{ kpi_part("100 * scored.share") }} as points,
        {{ one_if(
            "round(1 + scored.share * (" ~ scale_max ~ " - 1), 6) >= "
            ~ setting("operation.satisfied_from", "double")
        ) }} as is_satisfied,
        case when scored.value >= 9 then 100 when scored.value <= 6 then -100 else 0 end
            as recommends,
        {{ one_if("scored.share <= limits.at_most") }} as is_low
    from scored
    left join ticket_owners on scored.ticket_id = ticket_owners.ticket_id
    left join touchpoints on scored.aspect = touchpoints.id
    left join limits on scored.kind = limits.kind
    where scored.share is not null
),

answers as (
    select
        kind,
        answered_on,
        customer_id,
        owner_id,
        touchpoint,
        sum(points) as points,
        sum(is_satisfied) as satisfied,
        sum(recommends) as recommends,
        sum(is_low) as low,
        count(*) as answers
    from judged
    group by kind, answered_on, customer_id, owner_id, touchpoint
),

facts as (
    {%- for kpi, (condition, numerator) in answer_kpis.items() %}
    select
        '{{ kpi }}' as kpi,
        answered_on as happened_on,
        customer_id,
        {{ "cast(null as varchar)" if kpi == "nps" else "owner_id" }} as owner_id,
        touchpoint,
        {{ numerator }} as numerator,
        answers as denominator
    from answers
    where {{ condition }}
    union all
    {%- endfor %}
    select
        'negative_feedback_rate' as kpi,
        opened_on as happened_on,
        customer_id,
        owner_id,
        touchpoint,
        {{ one_if("is_complaint") }} as numerator,
        1 as denominator
    from tickets
),

final as (
    select {{ kpi_columns(owner_id="owner_id", touchpoint="touchpoint") }}
    from facts
    inner join days on facts.happened_on = days.day
    union all
    select {{ kpi_columns(
        kpi="'complaint_rate'",
        numerator=one_if(has_bit("active.complained_in", "periods.bit")),
        denominator="1"
    ) }}
    from active
    cross join periods
    where {{ has_bit("active.active_in", "periods.bit") }}
)

select * from final
