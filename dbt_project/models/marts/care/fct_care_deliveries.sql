with

messages as (
    select * from {{ source("ledger", "messages") }}
),

states as (
    select * from {{ ref("int_care_message_states") }}
),

responses as (
    select * from {{ ref("int_care_responses") }}
),

conversions as (
    select * from {{ ref("int_care_conversions") }}
),

final as (
    select
        messages.message_id,
        messages.decision_key,
        messages.customer_id,
        messages.rule,
        messages.rule_version,
        messages.occasion,
        messages.purpose,
        messages.channel,
        messages.kind,
        messages.segment,
        messages.offer,
        messages.contact_on,
        messages.as_of as planned_as_of,
        states.state,
        states.state_at,
        states.reason,
        cast(states.attempts as integer) as attempts,
        states.sent_at,
        {%- for name in ["delivered", "opened", "clicked", "replied", "answered"] %}
        responses.{{ name }}_at is not null as is_{{ name }},
        responses.{{ name }}_at,
        {%- endfor %}
        responses.bounced_at is not null as is_bounced,
        responses.bounced_at,
        responses.complained_at is not null as is_complained,
        responses.complained_at,
        responses.unsubscribed_at is not null as is_unsubscribed,
        responses.unsubscribed_at,
        conversions.conversion_event,
        conversions.counted_until,
        case
            when conversions.message_id is null then 'not_counted'
            when conversions.converted_at is not null then 'converted'
            when conversions.counted_until > {{ as_of_utc() }} then 'open'
            else 'not_converted'
        end as conversion,
        conversions.converted_at,
        cast(conversions.conversion_value as decimal(18, 4)) as conversion_value,
        messages.pack_hash
    from messages
    inner join states on messages.message_id = states.message_id
    left join responses on messages.message_id = responses.message_id
    left join conversions on messages.message_id = conversions.message_id
)

select * from final
