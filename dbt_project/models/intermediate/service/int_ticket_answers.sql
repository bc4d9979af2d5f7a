with

outcomes as (
    select * from {{ ref("int_ticket_outcomes") }}
),

surveys as (
    select
        *,
        {{ score_share() }} as share
    from {{ ref("stg_surveys") }}
    where ticket_id is not null
),

limits as (
    select * from {{ source("program", "low_scores") }}
),

answers as (
    select
        surveys.ticket_id,
        case when surveys.asked_at >= outcomes.solved_at then surveys.asked_at end as asked_at,
        case
            when surveys.answered_at >= outcomes.solved_at and surveys.score is not null
                then surveys.answered_at
        end as answered_at,
        surveys.kind,
        surveys.share,
        surveys.outcome,
        coalesce(surveys.share <= limits.at_most, false) as is_low
    from surveys
    inner join outcomes on surveys.ticket_id = outcomes.ticket_id
    left join limits on surveys.kind = limits.kind
    where outcomes.solved_at is not null
),

final as (
    select
        ticket_id,
        min(asked_at) as asked_at,
        min(answered_at) as answered_at,
        max(case when is_low then answered_at end) as low_answered_at,
        coalesce(
            bool_and(outcome is not null) filter (where is_low and answered_at is not null), false
        ) as low_was_treated,
        cast(avg(
            case
                when kind = 'csat' and answered_at is not null then cast(share as decimal(18, 9))
            end
        ) as decimal(5, 4)) as satisfaction
    from answers
    group by ticket_id
)

select * from final
