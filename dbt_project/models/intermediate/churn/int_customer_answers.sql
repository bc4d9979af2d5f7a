with

surveys as (
    select * from {{ ref("stg_surveys") }}
),

answers as (
    select
        customer_id,
        kind,
        answered_at,
        -- Several aspects are often answered at the same moment; they are averaged.
        round(avg({{ answer_value() }}), 4) as score
    from surveys
    where
        customer_id is not null
        and score is not null
        and answered_at is not null
        and kind in ('csat', 'nps')
    group by customer_id, kind, answered_at
),

dated as (
    select
        *,
        max(answered_at) over (partition by customer_id, kind) as last_answered_at
    from answers
    where score is not null
),

compared as (
    select
        *,
        max(case when answered_at = last_answered_at then score end)
            over (partition by customer_id, kind)
            as last_score
    from dated
),

final as (
    select
        customer_id,
        kind,
        last_score,
        {{ local_date("last_answered_at") }} as last_answered_on,
        count(*) - 1 as earlier_answers,
        count(*) filter (where answered_at < last_answered_at and score <= last_score)
            as earlier_as_low,
        min(score) filter (where answered_at < last_answered_at) as earlier_lowest,
        max(score) filter (where answered_at < last_answered_at) as earlier_highest
    from compared
    group by customer_id, kind, last_score, last_answered_at
)

select * from final
