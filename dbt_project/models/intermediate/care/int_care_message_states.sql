with

messages as (
    select
        message_id,
        as_of
    from {{ source("ledger", "messages") }}
    -- Of this moment and later nothing is seen, so that a rerun and a replay give the same.
    where as_of < {{ as_of_utc() }}
),

events as (
    select * from {{ source("ledger", "events") }}
    where at_utc <= {{ as_of_utc() }}
),

by_message as (
    select
        message_id,
        {{ last_row({
            "seq": "seq",
            "state": "state",
            "at_utc": "at_utc",
            "reason": "reason",
        }) }} as latest,
        count(*) filter (where state = 'sending') as attempts,
        min(at_utc) filter (where state = 'sent') as sent_at
    from events
    group by message_id
),

final as (
    select
        messages.message_id,
        coalesce({{ field_of("by_message.latest", "state") }}, 'planned') as state,
        coalesce({{ field_of("by_message.latest", "at_utc") }}, messages.as_of) as state_at,
        {{ field_of("by_message.latest", "reason") }} as reason,
        coalesce(by_message.attempts, 0) as attempts,
        by_message.sent_at
    from messages
    left join by_message on messages.message_id = by_message.message_id
)

select * from final
