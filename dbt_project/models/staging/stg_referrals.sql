{%- set as_of = as_of_utc() -%}

with

referrals as (
    select * from {{ source("raw", "referrals") }}
),

final as (
    select
        referral_id,
        referrer_id,
        referred_id,
        {{ quoted("at") }} as recommended_at,
        {{ seen("converted_at", as_of) }} as converted_at
    from referrals
    where {{ quoted("at") }} <= {{ as_of }}
)

select * from final
