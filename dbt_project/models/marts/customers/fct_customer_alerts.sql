with

alerts as (
    select * from {{ ref("int_customer_alerts") }}
),

churn as (
    select * from {{ ref("int_customer_churn") }}
),

final as (
    select
        -- Readable, and unique: an alert that closed reopens on a later day at the earliest.
        alerts.customer_id || ' ' || alerts.signal || ' ' || alerts.onset_on as alert_key,
        alerts.customer_id,
        alerts.signal,
        alerts.signal_title_en,
        alerts.signal_title_zh,
        alerts.onset_on,
        alerts.last_seen_on,
        alerts.seen_before_on,
        alerts.closed_on,
        alerts.close_reason,
        alerts.closed_on is null as is_open,
        alerts.observed,
        alerts.expected_low,
        alerts.expected_high,
        alerts.likelihood,
        alerts.evidence,
        cast(alerts.points as integer) as points,
        churn.churn_level,
        churn.churn_level_since,
        case when alerts.closed_on is null then churn.churn_rank end as churn_rank,
        alerts.as_of
    from alerts
    left join churn on alerts.customer_id = churn.customer_id
)

select * from final
