with

customers as (
    select * from {{ ref("int_customer_tiers") }}
),

final as (
    select
        customer_id,
        tier,
        tier_title_en,
        tier_title_zh,
        tier_position,
        tier_since,
        kept_until,
        earned_tier,
        is_earned,
        next_tier,
        spend,
        interactions,
        spend_to_next,
        interactions_to_next,
        spend_to_keep,
        interactions_to_keep,
        points_factor,
        reason,
        {{ as_of_utc() }} as as_of
    from customers
)

select * from final
