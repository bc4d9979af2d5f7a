-- Tiers, tags, and what everything else comes together in.
create table fct_customer_tiers as
with placed as (
    select
        customer_id,
        spend_long as spend,
        interactions_long::bigint as interactions,
        member_since_on,
        case when spend >= 5000 then 3 when spend >= 1000 then 2 when spend >= 0 then 1 else 0 end as earned,
        case member_tier when 'gold' then 3 when 'silver' then 2 when 'regular' then 1 else 0 end as crm,
        greatest(earned, crm) as tier_position,
        [0, 1000, 5000] as least_spend
    from profile
)
select
    customer_id,
    ['regular', 'silver', 'gold'][tier_position] as tier,
    ['Regular', 'Silver', 'Gold'][tier_position] as tier_title_en,
    ['普通会员', '银卡会员', '金卡会员'][tier_position] as tier_title_zh,
    tier_position,
    case
        when tier_position = 0 then null
        when crm > earned then coalesce(member_since_on, getvariable('today'))
        else getvariable('today')
    end as tier_since,
    if(tier_position = 0, null, (getvariable('today') + interval 1 year)::date) as kept_until,
    ['regular', 'silver', 'gold'][earned] as earned_tier,
    tier_position > 0 and earned >= crm as is_earned,
    ['regular', 'silver', 'gold'][tier_position + 1] as next_tier,
    spend,
    interactions,
    if(tier_position = 3, null, greatest(least_spend[tier_position + 1] - spend, 0))::decimal(18, 4) as spend_to_next,
    null::bigint as interactions_to_next,
    if(tier_position = 0, null, greatest(least_spend[tier_position] - spend, 0))::decimal(18, 4) as spend_to_keep,
    null::bigint as interactions_to_keep,
    [1.0, 1.2, 1.5][tier_position]::double as points_factor,
    case
        when tier_position = 0
            then 'below every tier: spend_long ' || spend::decimal(18, 2) || ', interactions_long ' || interactions
        when crm > earned
            then 'the tier of the CRM when first seen; kept until ' || kept_until || ' without spend_long ≥ '
                || least_spend[tier_position] || ' (' || spend::decimal(18, 2) || ')'
        else 'spend_long ≥ ' || least_spend[tier_position] || ' (' || spend::decimal(18, 2) || ')'
    end as reason,
    getvariable('as_of') as as_of
from placed;

create temp table tags as
select
    p.customer_id,
    customer_type is distinct from 'company' as is_person,
    coalesce(updated_on, registered_on) as updated_on,
    coalesce(all_purchases >= 3, false) as is_category_known,
    coalesce(all_responses >= 3, false) as is_channel_known,
    coalesce(c.all_events >= 3, false) as is_content_known,
    if(is_person, nullif(trim(sex), ''), null) as sex_tag,
    nullif(trim(region), '') as region_tag,
    case
        when not is_person or age_years is null then null
        when age_years >= 60 then 'age_60_up' when age_years >= 45 then 'age_45_59'
        when age_years >= 35 then 'age_35_44' when age_years >= 25 then 'age_25_34'
        when age_years >= 18 then 'age_18_24' else 'under_18'
    end as age_tag,
    interests,
    if(is_category_known and purchases.most.events / all_purchases::double >= 0.4, purchases.most.category, null)
        as category_tag,
    purchases.most.events || ' of ' || all_purchases || ' purchases' as category_evidence,
    local_date(purchases.most.last_at) as category_on,
    case
        when spend_long_rank >= 0.8 then 'high' when spend_long_rank >= 0.4 then 'medium'
        when spend_long_rank is not null then 'low'
    end as spending_tag,
    spend_long_rank,
    interactions_short,
    tickets_long,
    age_years,
    orders_total >= 3 and discounted_share >= 0.5 as is_price_sensitive,
    orders_total,
    discounted_share,
    late_delivery_share,
    if(is_channel_known and channels.share >= 0.4, channels.channel, null) as channel_tag,
    channels.responses || ' of ' || all_responses || ' responses, ' || (100 * channels.share)::integer
    || ' % by weight' as channel_evidence,
    channels.last_response_on as channel_on,
    if(is_content_known and c.most.events / c.all_events::double >= 0.4, c.most.form, null) as content_tag,
    c.most.events || ' of ' || c.all_events || ' pieces of content' as content_evidence,
    local_date(c.most.last_at) as content_on,
    favourite,
    channels.channel,
    channels.responses,
    all_responses,
    -- Interaction frequency and after-sale demand are always known.
    2 + (sex_tag is not null)::integer + (region_tag is not null)::integer + (age_tag is not null)::integer
    + (interests is not null)::integer + (spending_tag is not null)::integer as plain_tags,
    plain_tags + (category_tag is not null)::integer + coalesce(is_price_sensitive, false)::integer
    + coalesce(late_delivery_share > 0, false)::integer + (channel_tag is not null)::integer
    + (content_tag is not null)::integer as tag_count,
    (
        plain_tags + is_category_known::integer + (is_price_sensitive is not null)::integer
        + (late_delivery_share is not null)::integer + is_channel_known::integer + is_content_known::integer
    ) / if(is_person, 12, 10)::double as tag_completeness
from profile as p
left join categories_by_customer as purchases using (customer_id)
left join (
    select *, sum(responses) over (partition by customer_id)::integer as all_responses
    from fct_customer_channels
    qualify channel_rank = 1
) as channels using (customer_id)
left join content_by_customer as c using (customer_id);

create table fct_customer_tags as
with judged as (
    select
        customer_id,
        unnest([
            {
                'tag': 'sex', 'value': sex_tag,
                'evidence': 'customers.sex',
                'evidence_on': updated_on, 'days': null
            },
            {
                'tag': 'region', 'value': region_tag,
                'evidence': 'customers.region',
                'evidence_on': updated_on, 'days': null
            },
            {
                'tag': 'age_band', 'value': age_tag,
                'evidence': 'age_years ' || age_years,
                'evidence_on': getvariable('today'), 'days': null
            },
            {
                'tag': 'interests', 'value': interests,
                'evidence': 'customers.interests',
                'evidence_on': updated_on, 'days': null
            },
            {
                'tag': 'favourite_category', 'value': category_tag,
                'evidence': category_evidence,
                'evidence_on': category_on, 'days': 7
            },
            {
                'tag': 'spending_power', 'value': spending_tag,
                'evidence': 'spend_long_rank ' || spend_long_rank::decimal(18, 4),
                'evidence_on': getvariable('today'), 'days': 7
            },
            {
                'tag': 'interaction_frequency', 'value': case
                    when interactions_short >= 8 then 'frequent'
                    when interactions_short >= 3 then 'occasional'
                    when interactions_short >= 1 then 'rare' else 'none'
                end,
                'evidence': 'interactions_short ' || interactions_short,
                'evidence_on': getvariable('today'), 'days': 7
            },
            {
                'tag': 'after_sale_demand', 'value': case
                    when tickets_long >= 3 then 'high' when tickets_long >= 1 then 'some' else 'none'
                end,
                'evidence': 'tickets_long ' || tickets_long,
                'evidence_on': getvariable('today'), 'days': 7
            },
            {
                'tag': 'price_sensitive', 'value': if(is_price_sensitive, 'yes', null),
                'evidence': 'orders_total ≥ 3 (' || orders_total
                || '); discounted_share ≥ 0.5 (' || discounted_share::decimal(18, 2) || ')',
                'evidence_on': getvariable('today'), 'days': 7
            },
            {
                'tag': 'late_deliveries', 'value': if(late_delivery_share > 0, 'yes', null),
                'evidence': 'late_delivery_share > 0 (' || late_delivery_share::decimal(18, 2) || ')',
                'evidence_on': getvariable('today'), 'days': 7
            },
            {
                'tag': 'preferred_channel', 'value': channel_tag,
                'evidence': channel_evidence,
                'evidence_on': channel_on, 'days': 7
            },
            {
                'tag': 'content_form', 'value': content_tag,
                'evidence': content_evidence,
                'evidence_on': content_on, 'days': 7
            }
        ], recursive := true)
    from tags
)
select
    customer_id,
    tag,
    value,
    evidence,
    evidence_on,
    getvariable('today') + days as expires_on,
    getvariable('today') as evaluated_on
from judged
where value is not null;

-- How a time of day is written, each way read once.
create temp table asked_times as
with written as (
    select
        asked_time,
        regexp_extract(
            asked_time, '^([0-9]{1,2})[:：]([0-9]{2}) *[-–—~～至到] *([0-9]{1,2})[:：]([0-9]{2})$',
            ['h', 'm', 'h2', 'm2']
        ) as found
    from (select distinct asked_time from profile where asked_time is not null)
),
parsed as (
    select
        asked_time,
        found.h::integer * 60 + found.m::integer as from_minute,
        found.h2::integer * 60 + found.m2::integer as until_minute,
        (from_minute + until_minute) / 2 as middle
    from written
    where found.h <> '' and found.m < '60' and found.m2 < '60'
)
select
    asked_time,
    format('{:02d}:{:02d}', from_minute // 60, from_minute % 60) as asked_from,
    format('{:02d}:{:02d}', until_minute // 60, until_minute % 60) as asked_until,
    case
        when middle >= 540 and middle < 720 then 1 when middle >= 720 and middle < 840 then 2
        when middle >= 840 and middle < 1080 then 3 when middle >= 1080 and middle < 1260 then 4
    end as asked_part
from parsed
where from_minute < until_minute and until_minute <= 1440;

create table dim_customers as
with judged as (
    select
        *,
        r_score + f_score + m_score as rfm_sum,
        case
            when r_score is null then null
            when r_score >= 4 and f_score >= 4 and m_score >= 4 then 'champions'
            when r_score >= 3 and f_score >= 4 then 'loyal'
            when r_score >= 3 and m_score >= 4 then 'big_spenders'
            when r_score >= 4 and f_score <= 2 then 'recent'
            when r_score <= 2 and f_score >= 3 then 'at_risk'
            when r_score <= 2 then 'hibernating'
            else 'regular'
        end as rfm_group,
        case
            when
                spend_rank >= 0.8 and orders_long >= 3 and days_since_last_order <= 90
                and (interaction_rank >= 0.5 or interaction_rank is null) then 'core'
            when
                (days_since_last_order > 90 or (orders_total = 0 and tenure_days > 90))
                and interactions_short <= 1 then 'dormant'
            when
                (interactions_medium >= 1 or days_since_last_order <= 90)
                and (orders_total >= 2 or (spend_rank >= 0.4 and days_since_first_order > 30))
                then 'potential'
            else 'new'
        end as segment,
        case
            when days_since_last_order > 365 then 'lost'
            when days_since_last_order > 90 then 'dormant'
            when orders_total = 1 and days_since_first_order <= 30 then 'new'
            when orders_total >= 1 then 'active'
            else 'prospect'
        end as stage,
        case
            when
                days_since_last_activity <= 90 and orders_short <= 0
                and (
                    interactions_long >= 36 and interaction_change <= 0.3
                    or visits_long >= 24 and visit_change <= 0.2
                    or order_change <= 0.3
                    or orders_total >= 4 and interval_ratio > 3
                ) then 'at_risk'
            when
                orders_short >= 2 or interactions_short >= 8 or visits_short >= 4 or dwell_minutes_short >= 30
                or interactions_short >= 4 and interaction_change >= 2
                or interactions_short >= 3 and answered_share >= 0.5 and answer_hours <= 24
                then 'highly_active'
            when days_since_last_activity <= 30 then 'active'
            else 'silent'
        end as activity_level
    from profile
),
preferred as (
    select
        judged.*,
        t.favourite,
        t.channel,
        t.responses,
        t.all_responses,
        t.tag_count,
        t.tag_completeness,
        coalesce(t.all_responses >= 3, false) as is_channel_observed,
        coalesce(d.responses >= 3, false) as is_time_observed,
        case
            when is_channel_observed then 'observed'
            when asked_channel in ('wecom', 'sms', 'email', 'push', 'call') then 'stated'
            else 'fallback'
        end as channel_basis,
        case
            when is_time_observed then 'observed' when a.asked_time is not null then 'stated' else 'fallback'
        end as time_basis,
        case time_basis when 'observed' then d.daypart when 'stated' then asked_part else 4 end as part,
        asked_from,
        asked_until
    from judged
    join tags as t using (customer_id)
    left join dayparts_by_customer as d using (customer_id)
    left join asked_times as a on judged.asked_time = a.asked_time
)
select
    customer_id,
    p.source,
    segment,
    case segment
        when 'core' then 'Core' when 'dormant' then 'Dormant' when 'potential' then 'Potential' else 'New'
    end as segment_title_en,
    case segment
        when 'core' then '核心客户' when 'dormant' then '沉睡客户' when 'potential' then '潜力客户' else '新客户'
    end as segment_title_zh,
    case segment
        when 'core' then
            'spend_rank ≥ 0.8 (' || spend_rank::decimal(18, 2) || '); orders_long ≥ 3 (' || orders_long
            || '); days_since_last_order ≤ 90 (' || days_since_last_order || '); '
            || coalesce(
                'interaction_rank ≥ 0.5 (' || interaction_rank::decimal(18, 2) || ')',
                'interaction_rank is unknown'
            )
        when 'dormant' then concat_ws(
            '; ',
            if(days_since_last_order > 90, 'days_since_last_order > 90 (' || days_since_last_order || ')', null),
            if(
                orders_total = 0 and tenure_days > 90,
                'orders_total = 0; tenure_days > 90 (' || tenure_days || ')', null
            ),
            'interactions_short ≤ 1 (' || interactions_short || ')'
        )
        when 'potential' then concat_ws(
            '; ',
            if(interactions_medium >= 1, 'interactions_medium ≥ 1 (' || interactions_medium || ')', null),
            if(days_since_last_order <= 90, 'days_since_last_order ≤ 90 (' || days_since_last_order || ')', null),
            if(orders_total >= 2, 'orders_total ≥ 2 (' || orders_total || ')', null),
            if(
                spend_rank >= 0.4 and days_since_first_order > 30,
                'spend_rank ≥ 0.4 (' || spend_rank::decimal(18, 2)
                || '); days_since_first_order > 30 (' || days_since_first_order || ')', null
            )
        )
        else 'no other rule applies'
    end as segment_reason,
    getvariable('today') as segment_since,
    stage,
    case stage
        when 'lost' then 'Lost' when 'dormant' then 'Dormant' when 'new' then 'New'
        when 'active' then 'Active' else 'Prospect'
    end as stage_title_en,
    case stage
        when 'lost' then '流失' when 'dormant' then '沉睡' when 'new' then '新客' when 'active' then '活跃'
        else '意向客户'
    end as stage_title_zh,
    case stage
        when 'lost' then 'days_since_last_order > 365 (' || days_since_last_order || ')'
        when 'dormant' then 'days_since_last_order > 90 (' || days_since_last_order || ')'
        when 'new' then 'orders_total = 1; days_since_first_order ≤ 30 (' || days_since_first_order || ')'
        when 'active' then 'orders_total ≥ 1 (' || orders_total || ')'
        else 'no other rule applies'
    end as stage_reason,
    getvariable('today') as stage_since,
    activity_level,
    case activity_level
        when 'at_risk' then 'At risk' when 'highly_active' then 'Highly active' when 'active' then 'Active'
        else 'Silent'
    end as activity_title_en,
    case activity_level
        when 'at_risk' then '流失风险' when 'highly_active' then '高活跃' when 'active' then '活跃' else '沉默'
    end as activity_title_zh,
    case activity_level
        when 'at_risk' then concat_ws(
            '; ',
            'days_since_last_activity ≤ 90 (' || days_since_last_activity || '); orders_short ≤ 0 ('
            || orders_short || ')',
            if(
                interactions_long >= 36 and interaction_change <= 0.3,
                'interactions_long ≥ 36 (' || interactions_long || '); interaction_change ≤ 0.3 ('
                || interaction_change::decimal(18, 2) || ')', null
            ),
            if(
                visits_long >= 24 and visit_change <= 0.2,
                'visits_long ≥ 24 (' || visits_long || '); visit_change ≤ 0.2 ('
                || visit_change::decimal(18, 2) || ')', null
            ),
            if(order_change <= 0.3, 'order_change ≤ 0.3 (' || order_change::decimal(18, 2) || ')', null),
            if(
                orders_total >= 4 and interval_ratio > 3,
                'orders_total ≥ 4 (' || orders_total || '); interval_ratio > 3 ('
                || interval_ratio::decimal(18, 2) || ')', null
            )
        )
        when 'highly_active' then concat_ws(
            '; ',
            if(orders_short >= 2, 'orders_short ≥ 2 (' || orders_short || ')', null),
            if(interactions_short >= 8, 'interactions_short ≥ 8 (' || interactions_short || ')', null),
            if(visits_short >= 4, 'visits_short ≥ 4 (' || visits_short || ')', null),
            if(
                dwell_minutes_short >= 30,
                'dwell_minutes_short ≥ 30 (' || dwell_minutes_short::decimal(18, 2) || ')', null
            ),
            if(
                interactions_short >= 4 and interaction_change >= 2,
                'interactions_short ≥ 4 (' || interactions_short || '); interaction_change ≥ 2 ('
                || interaction_change::decimal(18, 2) || ')', null
            ),
            if(
                interactions_short >= 3 and answered_share >= 0.5 and answer_hours <= 24,
                'interactions_short ≥ 3 (' || interactions_short || '); answered_share ≥ 0.5 ('
                || answered_share::decimal(18, 2) || '); answer_hours ≤ 24 ('
                || answer_hours::decimal(18, 2) || ')', null
            )
        )
        when 'active' then 'days_since_last_activity ≤ 30 (' || days_since_last_activity || ')'
        else 'no other rule applies'
    end as activity_reason,
    customer_type,
    region,
    industry,
    sex,
    locale,
    source_channel,
    service_package,
    member_tier,
    is_member,
    is_strategic,
    account_manager_id,
    has_consent_marketing,
    registered_on,
    tenure_days::integer as tenure_days,
    cooperation_days::integer as cooperation_days,
    first_order_on,
    last_order_on,
    last_interaction_on,
    last_activity_on,
    days_since_last_order::integer as days_since_last_order,
    days_since_last_interaction::integer as days_since_last_interaction,
    days_since_last_activity::integer as days_since_last_activity,
    orders_total,
    orders_short,
    orders_medium,
    orders_long,
    spend_total,
    spend_short,
    spend_medium,
    spend_long,
    average_order_value,
    average_order_interval_days,
    interval_ratio,
    returned_share,
    late_delivery_share,
    discounted_share,
    interactions_short,
    interactions_medium,
    interactions_long,
    logins_short,
    logins_medium,
    visits_short,
    visits_medium,
    visits_long,
    engagements_medium,
    dwell_minutes_short,
    interaction_change,
    visit_change,
    order_change,
    tickets_medium,
    tickets_long,
    complaints_medium,
    complaints_long,
    open_tickets,
    resolved_share,
    first_response_hours,
    resolution_hours,
    last_satisfaction,
    satisfaction_long,
    nps_last,
    answer_hours,
    answered_share,
    age_years,
    spend_rank,
    spend_long_rank,
    frequency_rank,
    recency_rank,
    interaction_rank,
    r_score,
    f_score,
    m_score,
    rfm_sum,
    rfm_group,
    p_alive,
    expected_orders,
    expected_order_value,
    predicted_value,
    predicted_value_rank,
    is_high_potential,
    if(v.customer_id is null, null, method) as value_method,
    if(v.customer_id is null, null, run) as value_model_run,
    if(v.customer_id is null, null, note) as value_note,
    health_score,
    case when health_score <= 50 then 'red' when health_score <= 75 then 'yellow' when health_score > 75 then 'green' end
        as health_band,
    known_share as health_known_share,
    null::decimal(5, 1) as health_trend_30,
    null::decimal(5, 1) as health_trend_90,
    weakest as health_weakest,
    churn_level,
    if(churn_level is null, null, getvariable('today')) as churn_level_since,
    coalesce(churn_points, 0) as churn_points,
    coalesce(open_alerts, 0) as open_alerts,
    churn_reason,
    churn_rank,
    case when churn_level = 'low' then 'care_message' when churn_level is not null then 'win_back_plan' end
        as churn_action,
    case churn_level when 'low' then 'automatic' when 'medium' then 'service' when 'high' then 'account_manager' end
        as churn_owner,
    case churn_level when 'medium' then 'account_manager' when 'high' then 'supervisor' end as churn_notify,
    case churn_level when 'low' then '3d' when 'medium' then '24h' when 'high' then '24h' end as churn_act_within,
    case when churn_level in ('medium', 'high') then 'exclusive' end as churn_offer,
    tier,
    tier_title_en,
    tier_title_zh,
    tier_since,
    kept_until as tier_kept_until,
    next_tier,
    spend_to_next as spend_to_next_tier,
    coalesce(balance, 0) as points_balance,
    coalesce(expiring, 0) as points_expiring,
    next_expiry_on as points_next_expiry_on,
    null::integer as referrals_converted,
    null::decimal(18, 2) as referral_rewards,
    case channel_basis when 'observed' then channel when 'stated' then asked_channel else 'wecom' end
        as preferred_channel,
    channel_basis as preferred_channel_basis,
    case
        when channel_basis = 'observed' then responses || ' of ' || all_responses || ' responses in 180 days'
        when channel_basis = 'stated' then 'asked for by the customer'
        when asked_channel is not null then 'the channel asked for is not in use: first of the fallback order'
        when all_responses is null then 'no responses: first of the fallback order'
        else 'only ' || all_responses || ' in 180 days: first of the fallback order'
    end as preferred_channel_reason,
    ['morning', 'midday', 'afternoon', 'evening'][part] as preferred_daypart,
    if(time_basis = 'stated', asked_from, ['09:00', '12:00', '14:00', '18:00'][part]) as preferred_time_from,
    if(time_basis = 'stated', asked_until, ['12:00', '14:00', '18:00', '21:00'][part]) as preferred_time_until,
    time_basis as preferred_time_basis,
    favourite as favourite_category,
    tag_count,
    tag_completeness,
    getvariable('today') as as_of_on
from preferred as p
join health using (customer_id)
join fct_customer_tiers using (customer_id)
left join churn using (customer_id)
left join value_by_customer as v using (customer_id)
left join point_balances using (customer_id)
cross join model;

create table fct_customer_changes as
with changes as (
    select
        customer_id,
        unnest([
            {
                'dimension': 'segment', 'to_value': segment, 'reason': segment_reason,
                'measures': json_object(
                    'days_since_first_order', getvariable('today') - first_order_on,
                    'days_since_last_order', days_since_last_order, 'interaction_rank', interaction_rank,
                    'interactions_medium', interactions_medium, 'interactions_short', interactions_short,
                    'orders_long', orders_long, 'orders_total', orders_total, 'spend_rank', spend_rank,
                    'tenure_days', tenure_days
                )::varchar
            },
            {
                'dimension': 'stage', 'to_value': stage, 'reason': stage_reason,
                'measures': json_object(
                    'days_since_first_order', getvariable('today') - first_order_on,
                    'days_since_last_order', days_since_last_order, 'orders_total', orders_total
                )::varchar
            },
            {'dimension': 'tier', 'to_value': d.tier, 'reason': t.reason, 'measures': null},
            {'dimension': 'churn_level', 'to_value': churn_level, 'reason': churn_reason, 'measures': null}
        ], recursive := true)
    from dim_customers as d
    join fct_customer_tiers as t using (customer_id)
)
select
    customer_id || ' ' || dimension || ' ' || getvariable('as_of') as change_key,
    customer_id,
    dimension,
    null::varchar as from_value,
    to_value,
    getvariable('today') as changed_on,
    getvariable('as_of') as as_of,
    reason,
    measures
from changes
where to_value is not null;
