with

messages as (
    select * from {{ source("ledger", "messages") }}
    where as_of < {{ as_of_utc() }}
),

-- States that were recorded by now; a later run of the same day sees the same.
ended as (
    select
        message_id,
        bool_or(state in ('cancelled', 'expired', 'suppressed')) as was_withdrawn
    from {{ source("ledger", "events") }}
    where
        state in ('cancelled', 'expired', 'failed', 'suppressed')
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
        messages.contact_on,
        messages.as_of as planned_as_of,
        ended.message_id is null as is_contact,
        not coalesce(ended.was_withdrawn, false) as is_decided
    from messages
    left join ended on messages.message_id = ended.message_id
)

select * from final
