{%- set limit = as_of_date() ~ " - " ~ setting("health.history.keep_days", "integer") -%}
{%- set due = as_of_date() ~ " - " ~ setting("health.history.every_days", "integer") -%}

with

previous as (
    select * from {{ source("run", "previous_health_history") }}
    where as_of < {{ as_of_utc() }}
),

health as (
    select * from {{ ref("int_customer_health") }}
),

recorded as (
    select * from {{ ref("int_customer_health_recorded") }}
),

-- What the score was when the kept time began, as long as the customer is in the data.
before as (
    select
        customer_id,
        max(recorded_on) as recorded_on,
        {{ latest("health_score", "recorded_on") }} as health_score,
        {{ latest("as_of", "recorded_on") }} as as_of
    from previous
    where
        recorded_on <= {{ limit }}
        and customer_id in (select health.customer_id from health)
    group by customer_id
),

final as (
    select
        customer_id,
        recorded_on,
        health_score,
        as_of
    from before
    union all
    select
        customer_id,
        recorded_on,
        health_score,
        as_of
    from previous
    where recorded_on > {{ limit }}
    union all
    select
        health.customer_id,
        {{ as_of_date() }} as recorded_on,
        health.health_score,
        {{ as_of_utc() }} as as_of
    from health
    left join recorded on health.customer_id = recorded.customer_id
    where
        health.health_score is not null
        and (
            recorded.last_recorded_on is null
            or (
                recorded.last_recorded_on <= {{ due }}
                and recorded.last_score <> health.health_score
            )
        )
)

select * from final
