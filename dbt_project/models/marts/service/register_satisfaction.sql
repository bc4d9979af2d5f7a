{%- set scale_max = setting("operation.satisfaction_scale_max", "integer") -%}

with

surveys as (
    select * from {{ ref("stg_surveys") }}
    where
        {{ keeps_register("satisfaction") }}
        and kind = 'csat'
        and answered_at is not null
        and aspect in ('attitude', 'speed', 'efficiency')
        and scale_min < scale_max
),

-- In the program's scale, which begins at 1.
scored as (
    select
        *,
        cast(
            1 + (score - scale_min) / (scale_max - scale_min) * ({{ scale_max }} - 1)
            as decimal(9, 4)
        ) as points
    from surveys
),

final as (
    select
        min(response_id) as survey_id,
        customer_id,
        ticket_id,
        answered_at as {{ quoted("time") }},
        method,
        cast(avg(case when aspect = 'attitude' then points end) as decimal(5, 1)) as attitude,
        cast(avg(case when aspect = 'speed' then points end) as decimal(5, 1)) as speed,
        cast(avg(case when aspect = 'efficiency' then points end) as decimal(5, 1))
            as efficiency,
        min(outcome) as done
    from scored
    group by customer_id, ticket_id, order_id, asked_at, answered_at, method
)

select * from final
