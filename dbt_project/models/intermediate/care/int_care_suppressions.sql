with

suppressions as (
    select * from {{ source("ledger", "suppressions") }}
    where
        at_utc <= {{ as_of_utc() }}
        and (lifted_at is null or lifted_at > {{ as_of_utc() }})
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

channels as (
    select * from {{ source("program", "channels") }}
),

purposes as (
    select distinct purpose from {{ source("program", "rules") }}
),

listed as (
    select
        suppressions.customer_id,
        purposes.purpose,
        channels.bit,
        suppressions.reason
    from suppressions
    inner join purposes
        on suppressions.purpose is null or suppressions.purpose = purposes.purpose
    inner join channels
        on suppressions.channel is null or suppressions.channel = channels.channel
),

-- A customer who is waiting for an answer to a complaint wants to hear nothing else.
muted as (
    select distinct
        tickets.customer_id,
        purposes.purpose
    from tickets
    cross join purposes
    where
        tickets.kind = 'complaint'
        and tickets.is_open
        and tickets.customer_id is not null
        and purposes.purpose in ({{ setting_list("consent.complaint_mutes") }})
),

reasons as (
    select distinct
        customer_id,
        purpose,
        bit,
        reason
    from listed
    union all
    select
        muted.customer_id,
        muted.purpose,
        channels.bit,
        'open complaint' as reason
    from muted
    cross join channels
),

per_channel as (
    select
        customer_id,
        purpose,
        bit
    from reasons
    group by customer_id, purpose, bit
),

sets as (
    select
        customer_id,
        purpose,
        cast(sum(bit) as integer) as suppressed_channels
    from per_channel
    group by customer_id, purpose
),

named as (
    select distinct
        customer_id,
        purpose,
        reason
    from reasons
),

texts as (
    select
        customer_id,
        purpose,
        {{ text_list("reason", ", ", "reason") }} as reasons
    from named
    group by customer_id, purpose
),

final as (
    select
        sets.customer_id,
        sets.purpose,
        sets.suppressed_channels,
        texts.reasons
    from sets
    inner join texts
        on sets.customer_id = texts.customer_id and sets.purpose = texts.purpose
)

select * from final
