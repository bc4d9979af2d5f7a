{%- set columns = [
    "account_manager_id", "locale", "predicted_value", "registered_on", "first_order_on",
    "open_tickets"
] -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

customers as (
    select * from {{ ref("stg_customers") }}
),

segments as (
    select * from {{ ref("int_customer_segments") }}
),

previous as (
    select * from {{ ref("int_customer_previous") }}
),

loyalty as (
    select * from {{ ref("int_customer_loyalty") }}
),

churn as (
    select * from {{ ref("int_customer_churn") }}
),

preferences as (
    select * from {{ ref("int_customer_preferences") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

reachability as (
    select * from {{ source("run", "reachability") }}
),

alert_levels as (
    select * from {{ source("program", "alert_levels") }}
),

previous_changes as (
    select * from {{ source("run", "previous_customer_changes") }}
    where as_of < {{ as_of_utc() }}
),

-- Before its first run nothing was known of a company, so nobody entered anything on that day.
first_known as (
    select min(changed_on) as first_known_on from previous_changes
),

tiers_first_known as (
    select min(changed_on) as first_known_on
    from {{ source("run", "previous_customer_tier_changes") }}
    where as_of < {{ as_of_utc() }}
),

-- Tiers and alert levels have an order: going down into one is not what rules wait for.
tier_falls as (
    select distinct
        customer_id,
        tier_since
    from {{ ref("int_customer_tier_changes") }}
    where
        tier_since >= {{ care_entered_from() }}
        and {{ tier_position("from_tier") }} > {{ tier_position("tier") }}
),

level_changes as (
    select
        customer_id,
        from_value,
        to_value,
        changed_on
    from previous_changes
    where dimension = 'churn_level' and changed_on >= {{ care_entered_from() }}
    union all
    select
        churn.customer_id,
        previous.churn_level as from_value,
        churn.churn_level as to_value,
        {{ as_of_date() }} as changed_on
    from churn
    inner join previous on churn.customer_id = previous.customer_id
    where churn.churn_level <> previous.churn_level
),

level_falls as (
    select distinct
        level_changes.customer_id,
        level_changes.to_value as churn_level,
        level_changes.changed_on
    from level_changes
    inner join alert_levels as before on level_changes.from_value = before.level
    inner join alert_levels as after on level_changes.to_value = after.level
    where before.position > after.position
),

contacts as (
    select
        customer_id,
        max(done_at) as last_contacted_at
    from {{ ref("stg_follow_ups") }}
    group by customer_id
),

answers as (
    select
        customer_id,
        max(answered_at) as last_answered_at
    from {{ ref("stg_surveys") }}
    group by customer_id
),

states as (
    select
        segments.customer_id,
        segments.segment,
        case
            when segments.segment = previous.segment then previous.segment_since
            else {{ as_of_date() }}
        end as segment_since,
        segments.stage,
        case
            when segments.stage = previous.stage then previous.stage_since
            else {{ as_of_date() }}
        end as stage_since,
        loyalty.tier,
        loyalty.tier_since,
        churn.churn_level,
        churn.churn_level_since
    from segments
    inner join loyalty on segments.customer_id = loyalty.customer_id
    inner join churn on segments.customer_id = churn.customer_id
    left join previous on segments.customer_id = previous.customer_id
),

final as (
    select
        profile.customer_id,
        states.segment,
        states.segment_since,
        case when states.segment_since > first_known.first_known_on then states.segment_since end
            as segment_entered_on,
        states.stage,
        states.stage_since,
        case when states.stage_since > first_known.first_known_on then states.stage_since end
            as stage_entered_on,
        states.tier,
        states.tier_since,
        case
            when
                states.tier_since > tiers_first_known.first_known_on
                and tier_falls.customer_id is null
                then states.tier_since
        end as tier_entered_on,
        states.churn_level,
        states.churn_level_since,
        case
            when
                states.churn_level_since > first_known.first_known_on
                and level_falls.customer_id is null
                then states.churn_level_since
        end as churn_level_entered_on,
        {%- for column in columns %}
        profile.{{ column }},
        {%- endfor %}
        preferences.preferred_channel,
        preferences.preferred_time_from,
        preferences.preferred_time_until,
        coalesce(reachability.has_phone, false) as has_phone,
        coalesce(reachability.has_email, false) as has_email,
        coalesce(reachability.has_wecom, false) as has_wecom,
        coalesce(reachability.has_push, false) as has_push,
        customers.birthday,
        {{ local_date("customers.member_since") }} as member_since_on,
        customers.company_founded_on,
        customers.cooperation_start_on,
        customer_orders.last_order_at as last_ordered_at,
        contacts.last_contacted_at,
        answers.last_answered_at
    from profile
    inner join customers on profile.customer_id = customers.customer_id
    inner join states on profile.customer_id = states.customer_id
    inner join preferences on profile.customer_id = preferences.customer_id
    cross join first_known
    cross join tiers_first_known
    left join customer_orders on profile.customer_id = customer_orders.customer_id
    left join reachability on profile.customer_id = reachability.customer_id
    left join contacts on profile.customer_id = contacts.customer_id
    left join answers on profile.customer_id = answers.customer_id
    left join tier_falls
        on
            profile.customer_id = tier_falls.customer_id
            and states.tier_since = tier_falls.tier_since
    left join level_falls
        on
            profile.customer_id = level_falls.customer_id
            and states.churn_level = level_falls.churn_level
            and states.churn_level_since = level_falls.changed_on
)

select * from final
