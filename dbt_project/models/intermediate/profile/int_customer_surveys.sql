with

surveys as (
    select * from {{ ref("stg_surveys") }}
),

answers as (
    select
        customer_id,
        kind,
        answered_at,
        case
            when kind = 'csat' then (score - scale_min) / nullif(scale_max - scale_min, 0)
            else
                10 * (score - coalesce(scale_min, 0))
                / nullif(coalesce(scale_max, 10) - coalesce(scale_min, 0), 0)
        end as value
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

final as (
    select
        customer_id,
        round(avg(value) filter (where kind = 'csat'), 4) as last_satisfaction,
        round(avg(value) filter (where kind = 'nps'), 4) as nps_last
    from latest
    where is_latest
    group by customer_id
)

select * from final
