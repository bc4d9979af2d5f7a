{%- set score_on = "case when recorded_on <= " ~ as_of_date() ~ " - {} then health_score end" -%}

with

history as (
    select * from {{ source("run", "previous_health_history") }}
),

final as (
    select
        customer_id,
        max(recorded_on) as last_recorded_on,
        {{ latest("health_score", "recorded_on") }} as last_score,
        {{ latest(score_on.format(30), "recorded_on") }} as score_30_days_ago,
        {{ latest(score_on.format(90), "recorded_on") }} as score_90_days_ago
    from history
    where as_of < {{ as_of_utc() }}
    group by customer_id
)

select * from final
