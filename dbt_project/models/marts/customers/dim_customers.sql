with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

segments as (
    select * from {{ ref("int_customer_segments") }}
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
        profile.value_method,
        profile.value_model_run,
        profile.value_note,
        {{ as_of_date() }} as as_of_on
    from profile
    inner join segments on profile.customer_id = segments.customer_id
    left join previous on profile.customer_id = previous.customer_id
    left join segment_titles on segments.segment = segment_titles.segment
    left join stage_titles on segments.stage = stage_titles.stage
)

select * from final
