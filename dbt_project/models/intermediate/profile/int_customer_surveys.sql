with

surveys as (
    select * from {{ ref("stg_surveys") }}
),

asked as (
    select
        customer_id,
        count(*) as surveys_asked_long,
        count(answered_at) as surveys_answered_long,
        round(avg({{ exact_seconds_between("asked_at", "answered_at") }}) / 3600, 4)
            as answer_hours
    from surveys
    where customer_id is not null and asked_at >= {{ window_start("long") }}
    group by customer_id
),

answers as (
    select
        customer_id,
        kind,
        answered_at,
        {{ answer_value() }} as value
    from surveys
    where
        customer_id is not null
        and score is not null
        and answered_at is not null
        and kind in ('csat', 'nps')
),

latest as (
    select
        *,
        -- Several aspects are often answered at the same moment; they are averaged.
        answered_at = max(answered_at) over (partition by customer_id, kind) as is_latest
    from answers
),

scores as (
    select
        customer_id,
        round(avg(value) filter (where kind = 'csat' and is_latest), 4) as last_satisfaction,
        round(avg(value) filter (
            where kind = 'csat' and answered_at >= {{ window_start("long") }}
        ), 4)
            as satisfaction_long,
        round(avg(value) filter (where kind = 'nps' and is_latest), 4) as nps_last
    from latest
    group by customer_id
),

final as (
    select
        coalesce(asked.customer_id, scores.customer_id) as customer_id,
        scores.last_satisfaction,
        scores.satisfaction_long,
        scores.nps_last,
        asked.answer_hours,
        asked.surveys_answered_long / cast(nullif(asked.surveys_asked_long, 0) as double)
            as answered_share
    from asked
    full outer join scores on asked.customer_id = scores.customer_id
)

select * from final
