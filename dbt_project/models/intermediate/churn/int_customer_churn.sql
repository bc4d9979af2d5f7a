with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

alerts as (
    select * from {{ ref("int_customer_alerts") }}
),

rules as (
    select * from {{ source("program", "signals") }}
),

previous as (
    select * from {{ source("run", "previous_customer_alerts") }}
),

levels as (
    select
        *,
        lead(min_points) over (order by position) as next_points
    from {{ source("program", "alert_levels") }}
),

open_alerts as (
    select
        alerts.*,
        rules.position
    from alerts
    inner join rules on alerts.signal = rules.id
    where alerts.closed_on is null
),

summed as (
    select
        customer_id,
        cast(sum(points) as integer) as churn_points,
        cast(count(*) as integer) as open_alerts,
        {{ text_list(
            "signal_title_en || ': ' || evidence", "; ", "points desc, position"
        ) }} as churn_reason
    from open_alerts
    group by customer_id
),

-- All alerts of a customer carry the level the customer had.
level_before as (
    select
        customer_id,
        max(churn_level) as churn_level,
        max(churn_level_since) as churn_level_since
    from previous
    where as_of < {{ as_of_utc() }}
    group by customer_id
),

levelled as (
    select
        summed.*,
        levels.level as churn_level,
        case
            when levels.level is null then null
            when levels.level = level_before.churn_level then level_before.churn_level_since
            else {{ as_of_date() }}
        end as churn_level_since,
        levels.action as churn_action,
        levels.owner as churn_owner,
        levels.notify as churn_notify,
        levels.act_within as churn_act_within,
        levels.offer as churn_offer,
        case
            when levels.level is not null then row_number() over (
                partition by levels.level is null
                order by
                    {%- if setting_text("churn.order_by") == "value" %}
                    profile.spend_long desc,
                    summed.churn_points desc,
                    {%- else %}
                    summed.churn_points desc,
                    profile.spend_long desc,
                    {%- endif %}
                    summed.customer_id asc
            )
        end as churn_rank
    from summed
    inner join profile on summed.customer_id = profile.customer_id
    left join levels
        on
            summed.churn_points >= levels.min_points
            and (levels.next_points is null or summed.churn_points < levels.next_points)
    left join level_before on summed.customer_id = level_before.customer_id
),

final as (
    select
        profile.customer_id,
        coalesce(levelled.open_alerts, 0) as open_alerts,
        coalesce(levelled.churn_points, 0) as churn_points,
        levelled.churn_level,
        levelled.churn_level_since,
        levelled.churn_reason,
        cast(levelled.churn_rank as integer) as churn_rank,
        levelled.churn_action,
        levelled.churn_owner,
        levelled.churn_notify,
        levelled.churn_act_within,
        levelled.churn_offer
    from profile
    left join levelled on profile.customer_id = levelled.customer_id
)

select * from final
