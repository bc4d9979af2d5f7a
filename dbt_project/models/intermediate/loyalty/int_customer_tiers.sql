{%- set window = optional_setting_text("loyalty.window", "total") -%}
{%- set keep_for = optional_setting_text("loyalty.keep_for", "1y") -%}

with

customers as (
    select * from {{ ref("int_customer_tier_walk") }}
),

titles as (
    select * from {{ source("program", "tiers") }}
),

worded as (
    select
        *,
        {{ tier_limits_text("earned_position", only_reached=true) }} as earned_words,
        {{ tier_limits_text("position") }} as limit_words,
        case
            when is_from_crm then 'the tier of the CRM when first seen; '
            when steps > 0 then 'dropped on ' || cast(reached_on as varchar) || '; '
            else ''
        end as start_words
    from customers
),

final as (
    select
        worded.customer_id,
        worded.tier,
        held.title_en as tier_title_en,
        held.title_zh as tier_title_zh,
        worded.position as tier_position,
        worded.tier_since,
        case
            when worded.position = 0 then null
            else coalesce(worded.kept_until, {{ plus_duration(as_of_date(), keep_for) }})
        end as kept_until,
        earned.id as earned_tier,
        worded.position > 0 and worded.kept_until is null as is_earned,
        upper.id as next_tier,
        cast(worded.spend as decimal(18, 4)) as spend,
        worded.interactions,
        case
            when upper.min_spend is not null
                then cast(greatest(upper.min_spend - worded.spend, 0) as decimal(18, 4))
        end as spend_to_next,
        case
            when upper.min_interactions is not null
                then cast(greatest(upper.min_interactions - worded.interactions, 0) as bigint)
        end as interactions_to_next,
        case
            when held.min_spend is not null
                then cast(greatest(held.min_spend - worded.spend, 0) as decimal(18, 4))
        end as spend_to_keep,
        case
            when held.min_interactions is not null
                then cast(greatest(held.min_interactions - worded.interactions, 0) as bigint)
        end as interactions_to_keep,
        held.points_factor,
        worded.start_words || case
            when worded.position = 0
                then
                    'below every tier: spend_{{ window }} '
                    || cast(cast(worded.spend as decimal(18, 2)) as varchar)
                    || ', interactions_{{ window }} ' || cast(worded.interactions as varchar)
            when worded.kept_until is null then worded.earned_words
            else
                'kept until ' || cast(worded.kept_until as varchar)
                || ' without ' || worded.limit_words
        end as reason
    from worded
    left join titles as held on worded.position = held.position
    left join titles as earned on worded.earned_position = earned.position
    left join titles as upper on worded.position + 1 = upper.position
)

select * from final
