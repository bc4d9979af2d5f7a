with

consents as (
    select * from {{ ref("stg_consents") }}
),

latest as (
    select
        customer_id,
        purpose,
        channel,
        {{ latest("is_granted", "changed_at") }} as is_granted
    from consents
    group by customer_id, purpose, channel
),

final as (
    select
        customer_id,
        bool_or(is_granted) filter (where purpose = 'marketing') as has_consent_marketing,
        bool_or(is_granted) filter (where purpose = 'care') as has_consent_care,
        bool_or(is_granted) filter (where purpose = 'survey') as has_consent_survey
    from latest
    group by customer_id
)

select * from final
