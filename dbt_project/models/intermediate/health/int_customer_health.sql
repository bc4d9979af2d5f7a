with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

recorded as (
    select * from {{ ref("int_customer_health_recorded") }}
),

scored as (
    {{ health_scores("profile") }}
),

final as (
    select
        scored.customer_id,
        scored.health_score,
        scored.health_known_share,
        case
            when scored.health_score is null then null
            when scored.health_score <= {{ setting("health.bands.red_at_most", "double") }}
                then 'red'
            when scored.health_score <= {{ setting("health.bands.yellow_at_most", "double") }}
                then 'yellow'
            else 'green'
        end as health_band,
        {%- for days in [30, 90] %}
        cast(scored.health_score - recorded.score_{{ days }}_days_ago as decimal(5, 1))
            as health_trend_{{ days }},
        {%- endfor %}
        scored.health_weakest
    from scored
    left join recorded on scored.customer_id = recorded.customer_id
)

select * from final
