with

messages as (
    select * from {{ source("ledger", "messages") }}
    where as_of < {{ as_of_utc() }}
),

-- States that were recorded by now; a later run of the same day sees the same.
ended as (
    select
        message_id,
        bool_or(state in ('cancelled', 'expired', 'suppressed')) as was_withdrawn,
        bool_or(state in ('cancelled', 'expired', 'suppressed', 'failed')) as came_to_nothing,
        min(at_utc) filter (where state in ('sent', 'unknown')) as sent_at
    from {{ source("ledger", "events") }}
    where
        state in ('cancelled', 'expired', 'failed', 'suppressed', 'sent', 'unknown')
        and at_utc <= {{ as_of_utc() }}
    group by message_id
),

final as (
    select
        messages.message_id,
        messages.decision_key,
        messages.customer_id,
        messages.rule,
        messages.purpose,
        messages.channel,
        messages.cap_group,
        messages.is_cap_exempt,
        -- What was late, after an outage or a back-off, counts on the day it went out, and what
        -- still waits on today at the earliest.
        case
            when ended.sent_at is not null then {{ local_date("ended.sent_at") }}
            when ended.message_id is null then greatest(messages.contact_on, {{ as_of_date() }})
            else messages.contact_on
        end as contact_on,
        messages.as_of as planned_as_of,
        not coalesce(ended.came_to_nothing, false) as is_contact,
        not coalesce(ended.was_withdrawn, false) as is_decided
    from messages
    left join ended on messages.message_id = ended.message_id
)

select * from final
