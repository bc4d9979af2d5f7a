{%- set gates = [
    "reachable", "fresh", "consent", "suppression", "reentry", "cooldown", "quiet_hours", "caps",
] -%}
{%- set measures = [
    "came_up", "came_up_allowed", "came_up_withheld",
] -%}
{%- for gate in gates %}{% do measures.append("stopped_" ~ gate) %}{% endfor -%}
{%- set of_messages = [
    "planned", "messages_sent", "messages_opened", "messages_clicked", "messages_replied",
    "messages_bounced", "unsubscribed", "tasks", "tasks_done", "tasks_overdue",
    "conversions_judged", "converted", "offers_given", "offers_converted",
] -%}

with

days as (
    select * from {{ ref("rpt_care_days") }}
),

deliveries as (
    select * from {{ ref("fct_care_deliveries") }}
),

tasks as (
    select
        task_id,
        state
    from {{ ref("register_follow_ups") }}
    where origin = 'careloop'
),

exposures as (
    select * from {{ source("ledger", "exposures") }}
    where as_of < {{ as_of_utc() }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

offers as (
    select * from {{ source("program", "offers") }}
),

decided as (
    select
        {{ period_start("month", "as_of_on") }} as month_start,
        rule,
        sum(came_up) as came_up,
        sum(came_up) filter (where outcome in ('send', 'task')) as came_up_allowed,
        {%- for gate in gates %}
        sum(came_up) filter (where gate = '{{ gate }}') as stopped_{{ gate }},
        {%- endfor %}
        sum(came_up) filter (where outcome = 'withheld') as came_up_withheld
    from days
    group by month_start, rule
),

sent as (
    select
        deliveries.*,
        tasks.state as task_state,
        deliveries.kind = 'send' and deliveries.sent_at is not null as is_message,
        deliveries.offer is not null and deliveries.sent_at is not null as has_offer,
        offers.kind as offer_kind,
        offers.value as offer_value
    from deliveries
    left join tasks on deliveries.message_id = tasks.task_id
    left join offers on deliveries.offer = offers.id
),

-- No order says which offer it used: the cost if every order that followed used it, where the
-- pack says what it is worth; for a discount, what was taken off the price that was paid.
costed as (
    select
        *,
        case
            when not has_offer or conversion <> 'converted' then 0
            when offer_kind = 'amount' then cast(offer_value as decimal(18, 4))
            when offer_kind = 'discount_share' and conversion_event = 'order' and offer_value < 1
                then cast(
                    conversion_value * cast(offer_value / (1 - offer_value) as decimal(18, 9))
                    as decimal(18, 4)
                )
        end as offer_cost
    from sent
),

delivered as (
    select
        {{ period_start("month", "contact_on") }} as month_start,
        rule,
        count(*) as planned,
        count(*) filter (where is_message) as messages_sent,
        count(*) filter (where is_message and (is_opened or is_clicked)) as messages_opened,
        count(*) filter (where is_message and is_clicked) as messages_clicked,
        count(*) filter (where is_message and (is_replied or is_answered)) as messages_replied,
        count(*) filter (where is_message and is_bounced) as messages_bounced,
        count(*) filter (where is_unsubscribed) as unsubscribed,
        count(*) filter (where kind = 'task') as tasks,
        count(*) filter (where task_state = 'done') as tasks_done,
        count(*) filter (where task_state = 'overdue') as tasks_overdue,
        count(*) filter (where conversion in ('converted', 'not_converted')) as conversions_judged,
        count(*) filter (where conversion = 'converted') as converted,
        count(*) filter (where has_offer) as offers_given,
        count(*) filter (where has_offer and conversion = 'converted') as offers_converted,
        sum(conversion_value) as conversion_value,
        sum(offer_cost) as offer_cost,
        count(*) filter (where offer_cost is null) as offers_without_cost
    from costed
    group by month_start, rule
),

withheld as (
    select
        {{ period_start("month", local_date("as_of")) }} as month_start,
        rule,
        count(*) as withheld
    from exposures
    where arm = 'holdout'
    group by month_start, rule
),

decided_days as (
    select
        'month' as period_type,
        {{ period_start("month", "as_of_on") }} as period_start,
        count(distinct as_of_on) as days_decided
    from days
    group by period_start
    union all
    select
        'quarter' as period_type,
        {{ period_start("quarter", "as_of_on") }} as period_start,
        count(distinct as_of_on) as days_decided
    from days
    group by period_start
),

months as (
    select
        month_start,
        rule
    from decided
    union
    select
        month_start,
        rule
    from delivered
    union
    select
        month_start,
        rule
    from withheld
),

monthly as (
    select
        months.month_start,
        months.rule,
        {%- for measure in measures %}
        coalesce(decided.{{ measure }}, 0) as {{ measure }},
        {%- endfor %}
        {%- for measure in of_messages %}
        coalesce(delivered.{{ measure }}, 0) as {{ measure }},
        {%- endfor %}
        coalesce(withheld.withheld, 0) as withheld,
        coalesce(delivered.conversion_value, 0) as conversion_value,
        coalesce(delivered.offer_cost, 0) as offer_cost,
        coalesce(delivered.offers_without_cost, 0) as offers_without_cost
    from months
    left join decided on months.month_start = decided.month_start and months.rule = decided.rule
    left join delivered
        on months.month_start = delivered.month_start and months.rule = delivered.rule
    left join withheld on months.month_start = withheld.month_start and months.rule = withheld.rule
),

all_periods as (
    select
        'month' as period_type,
        monthly.month_start as period_start,
        monthly.*
    from monthly
    union all
    select
        'quarter' as period_type,
        {{ period_start("quarter", "monthly.month_start") }} as period_start,
        monthly.*
    from monthly
),

summed as (
    select
        period_type,
        period_start,
        rule,
        {%- for measure in measures + of_messages %}
        sum({{ measure }}) as {{ measure }},
        {%- endfor %}
        sum(withheld) as withheld,
        sum(conversion_value) as conversion_value,
        sum(offer_cost) as offer_cost,
        sum(offers_without_cost) as offers_without_cost
    from all_periods
    group by period_type, period_start, rule
),

final as (
    select
        summed.period_type,
        summed.period_start,
        summed.rule,
        coalesce(rules.title_en, summed.rule) as title_en,
        coalesce(rules.title_zh, summed.rule) as title_zh,
        rules.purpose,
        rules.offer,
        cast(coalesce(decided_days.days_decided, 0) as integer) as days_decided,
        {%- for measure in measures + of_messages %}
        cast(summed.{{ measure }} as bigint) as {{ measure }},
        {%- endfor %}
        cast(summed.withheld as bigint) as withheld,
        cast(summed.conversion_value as decimal(38, 4)) as conversion_value,
        case when summed.offers_without_cost = 0 then cast(summed.offer_cost as decimal(38, 4)) end
            as offer_cost_at_most
    from summed
    left join rules on summed.rule = rules.rule
    left join decided_days
        on
            summed.period_type = decided_days.period_type
            and summed.period_start = decided_days.period_start
)

select * from final
