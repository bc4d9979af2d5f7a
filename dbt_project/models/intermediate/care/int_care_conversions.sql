with

states as (
    select * from {{ ref("int_care_message_states") }}
    where sent_at is not null
),

messages as (
    select * from {{ source("ledger", "messages") }}
),

rules as (
    select * from {{ source("program", "rules") }}
    where conversion_event is not null
),

outcomes as (
    select * from {{ ref("int_care_outcomes") }}
),

sent as (
    select
        states.message_id,
        messages.customer_id,
        states.sent_at,
        rules.conversion_event,
        {{ window_end(
            "states.sent_at",
            "rules.conversion_within_amount",
            "rules.conversion_within_unit",
            "rules.conversion_within_seconds"
        ) }} as counted_until
    from states
    inner join messages on states.message_id = messages.message_id
    inner join rules on messages.rule = rules.rule
),

converted as (
    select
        sent.message_id,
        {{ first_row({
            "occurred_at": "outcomes.occurred_at",
            "outcome_id": "outcomes.outcome_id",
            "amount": "outcomes.amount",
        }) }} as outcome
    from sent
    inner join outcomes
        on
            sent.customer_id = outcomes.customer_id
            and sent.conversion_event = outcomes.event
            and sent.sent_at < outcomes.occurred_at
            and sent.counted_until >= outcomes.occurred_at
    group by sent.message_id
),

final as (
    select
        sent.message_id,
        sent.conversion_event,
        sent.counted_until,
        {{ field_of("converted.outcome", "occurred_at") }} as converted_at,
        {{ field_of("converted.outcome", "amount") }} as conversion_value
    from sent
    left join converted on sent.message_id = converted.message_id
)

select * from final
