with

consents as (
    select * from {{ ref("stg_consents") }}
),

feedback as (
    select * from {{ source("ledger", "feedback") }}
),

messages as (
    select * from {{ source("ledger", "messages") }}
),

channels as (
    select * from {{ source("program", "channels") }}
),

purposes as (
    select distinct purpose from {{ source("program", "rules") }}
),

unsubscribed as (
    select
        feedback.customer_id,
        feedback.channel,
        feedback.at_utc,
        messages.purpose
    from feedback
    left join messages on feedback.message_id = messages.message_id
    where
        feedback.kind = 'unsubscribe'
        and feedback.at_utc <= {{ as_of_utc() }}
        and coalesce(feedback.received_at, feedback.at_utc) <= {{ as_of_utc() }}
),

-- Where it is not known what for, everything ends but messages about orders and tickets.
withdrawn as (
    select
        unsubscribed.customer_id,
        purposes.purpose,
        unsubscribed.channel,
        unsubscribed.at_utc
    from unsubscribed
    inner join purposes
        on
            unsubscribed.purpose = purposes.purpose
            or (unsubscribed.purpose is null and purposes.purpose <> 'service')
),

changes as (
    select
        customer_id,
        purpose,
        channel,
        changed_at,
        is_granted
    from consents
    union all
    select
        customer_id,
        purpose,
        channel,
        at_utc as changed_at,
        false as is_granted
    from withdrawn
),

-- Of a yes and a no at the same moment the no holds.
latest as (
    select
        customer_id,
        purpose,
        channel,
        {{ last_row({
            "changed_at": "changed_at",
            "refused": "case when is_granted then 0 else 1 end",
        }) }} as last_change
    from changes
    group by customer_id, purpose, channel
),

final as (
    select
        latest.customer_id,
        latest.purpose,
        cast(sum(
            case {{ field_of("latest.last_change", "refused") }}
                when 0 then channels.bit
                else 0
            end
        ) as integer) as granted_channels,
        cast(sum(
            case {{ field_of("latest.last_change", "refused") }}
                when 1 then channels.bit
                else 0
            end
        ) as integer) as refused_channels,
        max({{ field_of("latest.last_change", "changed_at") }}) as changed_at
    from latest
    inner join channels on latest.channel = channels.channel
    group by latest.customer_id, latest.purpose
)

select * from final
