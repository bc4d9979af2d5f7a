with

final as (
    select * from {{ ref("int_referral_rewards") }}
)

select * from final
