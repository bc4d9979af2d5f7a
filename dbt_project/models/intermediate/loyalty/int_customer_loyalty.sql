with

customers as (
    select * from {{ ref("int_customer_profile") }}
),

customer_tiers as (
    select * from {{ ref("int_customer_tiers") }}
),

customer_points as (
    select * from {{ ref("int_customer_points") }}
),

referral_rewards as (
    select * from {{ ref("int_referral_rewards") }}
),

referrers as (
    select
        referrer_id as customer_id,
        count(*) as referrals_converted,
        sum(reward_amount) as referral_rewards
    from referral_rewards
    group by referrer_id
),

final as (
    select
        customers.customer_id,
        customer_tiers.tier,
        customer_tiers.tier_title_en,
        customer_tiers.tier_title_zh,
        customer_tiers.tier_position,
        customer_tiers.tier_since,
        customer_tiers.kept_until as tier_kept_until,
        customer_tiers.is_earned as is_tier_earned,
        customer_tiers.reason as tier_reason,
        customer_tiers.next_tier,
        customer_tiers.spend_to_next as spend_to_next_tier,
        customer_tiers.interactions_to_next as interactions_to_next_tier,
        {%- set has_points = points_ledger() != "none" %}
        {%- set points = {
            "balance": "points_balance",
            "redeemable": "points_redeemable",
            "expiring": "points_expiring",
            "earned_long": "points_earned_long",
            "used_long": "points_used_long",
        } %}
        {%- for column, name in points.items() %}
        {{ "coalesce(customer_points." ~ column ~ ", 0)" if has_points
            else "cast(null as bigint)" }} as {{ name }},
        {%- endfor %}
        {{ "coalesce(customer_points.worth, 0)" if has_points
            else "cast(null as decimal(18, 2))" }} as points_worth,
        customer_points.next_expiry_on as points_next_expiry_on,
        {{ "coalesce(cast(referrers.referrals_converted as integer), 0)"
            if optional_setting_text("loyalty.referrals.between", "") else "cast(null as integer)" }}
            as referrals_converted,
        {{ "coalesce(cast(referrers.referral_rewards as decimal(18, 2)), 0)"
            if optional_setting_text("loyalty.referrals.between", "")
            else "cast(null as decimal(18, 2))" }} as referral_rewards
    from customers
    left join customer_tiers on customers.customer_id = customer_tiers.customer_id
    left join customer_points on customers.customer_id = customer_points.customer_id
    left join referrers on customers.customer_id = referrers.customer_id
)

select * from final
