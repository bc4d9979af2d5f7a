{%- set has_points = "'" ~ points_ledger() ~ "' <> 'none'" -%}
{%- set has_referrals = "'" ~ optional_setting_text("loyalty.referrals.between", "") ~ "' <> ''" -%}

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
        count(*) as converted,
        sum(reward_amount) as rewards
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
        {%- for column in ["balance", "redeemable", "expiring", "earned_long", "used_long"] %}
        case when {{ has_points }} then coalesce(customer_points.{{ column }}, 0) end
            as points_{{ column }},
        {%- endfor %}
        case when {{ has_points }} then coalesce(customer_points.worth, 0) end as points_worth,
        customer_points.next_expiry_on as points_next_expiry_on,
        case when {{ has_referrals }} then cast(coalesce(referrers.converted, 0) as integer) end
            as referrals_converted,
        case
            when {{ has_referrals }} then cast(coalesce(referrers.rewards, 0) as decimal(18, 2))
        end as referral_rewards
    from customers
    left join customer_tiers on customers.customer_id = customer_tiers.customer_id
    left join customer_points on customers.customer_id = customer_points.customer_id
    left join referrers on customers.customer_id = referrers.customer_id
)

select * from final
