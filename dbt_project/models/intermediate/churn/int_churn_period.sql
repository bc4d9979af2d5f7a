with

period as (
    select * from {{ ref("int_value_period") }}
),

labelled as (
    select
        cast(least(
            {{ setting("value.churn_horizon_days", "integer") }},
            floor(
                coalesce({{ days_since("observed_from_on") }}, 0)
                * {{ setting("value.churn_model.max_history_share", "double") }}
            )
        ) as integer) as label_days
    from period
),

final as (
    select
        label_days,
        {{ as_of_date() }} - label_days as cutoff_on,
        {{ day_start_utc(as_of_date() ~ " - label_days") }} as cutoff_at
    from labelled
)

select * from final
