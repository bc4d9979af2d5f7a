with

rewards as (
    select * from {{ ref("int_referral_rewards") }}
),

final as (
    select
        referral_id,
        referrer_id,
        referred_id,
        converted_at,
        converted_on,
        nth,
        reward_share,
        base_amount,
        reward_amount
    from rewards
)

select * from final
