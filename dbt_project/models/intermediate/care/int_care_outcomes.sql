{{ config(materialized="view") }}

with

orders as (
    select * from {{ ref("int_orders") }}
),

interactions as (
    select * from {{ ref("stg_interactions") }}
),

surveys as (
    select * from {{ ref("stg_surveys") }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

experiments as (
    select * from {{ ref("stg_exposures") }}
),

-- Thirty million interactions are read only if somebody hopes for one.
wanted as (
    select conversion_event as event from rules
    union
    select conversion_event as event from experiments
),

kinds as (
    select
        'login' as kind,
        'login' as event
    union all
    select
        'visit' as kind,
        'visit' as event
    union all
    select
        'store_visit' as kind,
        'visit' as event
),

wanted_kinds as (
    select
        kinds.kind,
        kinds.event
    from kinds
    inner join wanted on kinds.event = wanted.event
),

final as (
    select
        customer_id,
        'order' as event,
        ordered_at as occurred_at,
        order_id as outcome_id,
        coalesce(amount_program, 0) as amount
    from orders
    where is_counted
    union all
    select
        interactions.customer_id,
        wanted.event,
        interactions.occurred_at,
        interactions.interaction_id as outcome_id,
        cast(0 as decimal(18, 4)) as amount
    from interactions
    inner join wanted on wanted.event = 'interaction'
    union all
    select
        interactions.customer_id,
        wanted_kinds.event,
        interactions.occurred_at,
        interactions.interaction_id as outcome_id,
        cast(0 as decimal(18, 4)) as amount
    from interactions
    inner join wanted_kinds on interactions.kind = wanted_kinds.kind
    union all
    select
        customer_id,
        'survey_answer' as event,
        answered_at as occurred_at,
        response_id as outcome_id,
        cast(0 as decimal(18, 4)) as amount
    from surveys
    where answered_at is not null and customer_id is not null
)

select * from final
