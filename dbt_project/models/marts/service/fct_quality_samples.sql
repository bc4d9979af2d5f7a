{%- set period = setting_text("operation.quality_sample_every") -%}
{%- set current_period = period_start(period, as_of_date()) -%}
{%- set seed = text_literal(setting_text("operation.quality_sample_seed") ~ "|") -%}
{%- set lot = seed ~ " || cast(answered.period_start as varchar) || '|' || answered.ticket_id" -%}

with

previous as (
    select * from {{ source("run", "previous_quality_samples") }}
    where as_of < {{ as_of_utc() }}
),

-- Samples are drawn once: of the periods that have ended since the last draw, and of the last one
-- before the first.
drawn_until as (
    select coalesce(max(period_start), {{ period_before(period, current_period) }} - 1) as day
    from previous
),

answered as (
    select
        ticket_id,
        owner_id as agent_id,
        department,
        touchpoint,
        channel,
        kind,
        first_response_at,
        {{ period_start(period, local_date("first_response_at")) }} as period_start
    from {{ ref("stg_tickets") }}
    where first_response_at is not null and owner_id is not null
),

population as (
    select
        answered.*,
        {{ hash_number(lot) }} as drawn
    from answered
    cross join drawn_until
    where answered.period_start > drawn_until.day and answered.period_start < {{ current_period }}
),

-- Every agent's first comes before anybody's second, so each is checked as far as the size goes.
placed as (
    select
        *,
        count(*) over (partition by period_start, agent_id) as agent_tickets,
        row_number() over (partition by period_start, agent_id order by drawn, ticket_id)
            as agent_sample_no
    from population
),

ordered as (
    select
        *,
        row_number() over (
            partition by period_start order by agent_sample_no, drawn, ticket_id
        ) as sample_no
    from placed
),

final as (
    select
        period_start,
        ticket_id,
        sample_no,
        agent_id,
        agent_sample_no,
        agent_tickets,
        department,
        touchpoint,
        channel,
        kind,
        first_response_at,
        as_of
    from previous
    union all
    select
        period_start,
        ticket_id,
        sample_no,
        agent_id,
        agent_sample_no,
        agent_tickets,
        department,
        touchpoint,
        channel,
        kind,
        first_response_at,
        {{ as_of_utc() }} as as_of
    from ordered
    where sample_no <= {{ setting("operation.quality_sample_size", "integer") }}
)

select * from final
