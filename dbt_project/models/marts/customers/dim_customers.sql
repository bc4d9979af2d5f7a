with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

segments as (
    select * from {{ ref("int_customer_segments") }}
),

activity as (
    select * from {{ ref("int_customer_activity") }}
),

health as (
    select * from {{ ref("int_customer_health") }}
),

churn as (
    select * from {{ ref("int_customer_churn") }}
),

loyalty as (
    select * from {{ ref("int_customer_loyalty") }}
),

preferences as (
    select * from {{ ref("int_customer_preferences") }}
),

favourites as (
    select
        customer_id,
        value as favourite_category
    from {{ ref("int_customer_most") }}
    where kind = 'category'
),

tag_summary as (
    select * from {{ ref("int_customer_tag_summary") }}
),

previous as (
    select * from {{ ref("int_customer_previous") }}
),

segment_titles as (
    select * from {{ source("program", "segments") }}
),

stage_titles as (
    select * from {{ source("program", "stages") }}
),

activity_titles as (
    select * from {{ source("program", "activity_levels") }}
),

final as (
    select
        profile.customer_id,
        profile.source,
        segments.segment,
        segment_titles.title_en as segment_title_en,
        segment_titles.title_zh as segment_title_zh,
        segments.segment_reason,
        case
            when segments.segment = previous.segment then previous.segment_since
            else {{ as_of_date() }}
        end as segment_since,
        segments.stage,
        stage_titles.title_en as stage_title_en,
        stage_titles.title_zh as stage_title_zh,
        segments.stage_reason,
        case
            when segments.stage = previous.stage then previous.stage_since
            else {{ as_of_date() }}
        end as stage_since,
        activity.activity_level,
        activity_titles.title_en as activity_title_en,
        activity_titles.title_zh as activity_title_zh,
        activity.activity_reason,
        profile.customer_type,
        profile.region,
        profile.industry,
        profile.sex,
        profile.locale,
        profile.source_channel,
        profile.service_package,
        profile.member_tier,
        profile.is_member,
        profile.is_strategic,
        profile.account_manager_id,
        profile.has_consent_marketing,
        profile.registered_on,
        profile.tenure_days,
        profile.cooperation_days,
        profile.first_order_on,
        profile.last_order_on,
        profile.last_interaction_on,
        profile.last_activity_on,
        profile.days_since_last_order,
        profile.days_since_last_interaction,
        profile.days_since_last_activity,
        profile.orders_total,
        profile.orders_short,
        profile.orders_medium,
        profile.orders_long,
        profile.spend_total,
        profile.spend_short,
        profile.spend_medium,
        profile.spend_long,
        profile.average_order_value,
        profile.average_order_interval_days,
        profile.interval_ratio,
        profile.returned_share,
        profile.late_delivery_share,
        profile.discounted_share,
        profile.interactions_short,
        profile.interactions_medium,
        profile.interactions_long,
        profile.logins_short,
        profile.logins_medium,
        profile.visits_short,
        profile.visits_medium,
        profile.visits_long,
        profile.engagements_medium,
        profile.dwell_minutes_short,
        profile.interaction_change,
        profile.visit_change,
        profile.order_change,
        profile.tickets_medium,
        profile.tickets_long,
        profile.complaints_medium,
        profile.complaints_long,
        profile.open_tickets,
        profile.resolved_share,
        profile.first_response_hours,
        profile.resolution_hours,
        profile.last_satisfaction,
        profile.satisfaction_long,
        profile.nps_last,
        profile.answer_hours,
        profile.answered_share,
        profile.age_years,
        profile.spend_rank,
        profile.spend_long_rank,
        profile.frequency_rank,
        profile.recency_rank,
        profile.interaction_rank,
        profile.r_score,
        profile.f_score,
        profile.m_score,
        profile.rfm_sum,
        profile.rfm_group,
        profile.p_alive,
        profile.expected_orders,
        profile.expected_order_value,
        profile.predicted_value,
        profile.predicted_value_rank,
        profile.is_high_potential,
        profile.churn_risk,
        profile.churn_risk_method,
        profile.churn_risk_reason,
        profile.value_method,
        profile.value_model_run,
        profile.value_note,
        health.health_score,
        health.health_band,
        health.health_known_share,
        health.health_trend_30,
        health.health_trend_90,
        health.health_weakest,
        churn.churn_level,
        churn.churn_level_since,
        churn.churn_points,
        churn.open_alerts,
        churn.churn_reason,
        churn.churn_rank,
        churn.churn_action,
        churn.churn_owner,
        churn.churn_notify,
        churn.churn_act_within,
        churn.churn_offer,
        loyalty.tier,
        loyalty.tier_title_en,
        loyalty.tier_title_zh,
        loyalty.tier_since,
        loyalty.tier_kept_until,
        loyalty.next_tier,
        loyalty.spend_to_next_tier,
        loyalty.points_balance,
        loyalty.points_expiring,
        loyalty.points_next_expiry_on,
        loyalty.referrals_converted,
        loyalty.referral_rewards,
        preferences.preferred_channel,
        preferences.preferred_channel_basis,
        preferences.preferred_channel_reason,
        preferences.preferred_daypart,
        preferences.preferred_time_from,
        preferences.preferred_time_until,
        preferences.preferred_time_basis,
        favourites.favourite_category,
        tag_summary.tag_count,
        tag_summary.tag_completeness,
        {{ as_of_date() }} as as_of_on
    from profile
    inner join segments on profile.customer_id = segments.customer_id
    inner join activity on profile.customer_id = activity.customer_id
    inner join health on profile.customer_id = health.customer_id
    inner join churn on profile.customer_id = churn.customer_id
    inner join loyalty on profile.customer_id = loyalty.customer_id
    inner join preferences on profile.customer_id = preferences.customer_id
    inner join tag_summary on profile.customer_id = tag_summary.customer_id
    left join favourites on profile.customer_id = favourites.customer_id
    left join previous on profile.customer_id = previous.customer_id
    left join segment_titles on segments.segment = segment_titles.segment
    left join stage_titles on segments.stage = stage_titles.stage
    left join activity_titles on activity.activity_level = activity_titles.level
)

select * from final
