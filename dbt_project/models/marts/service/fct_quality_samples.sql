{%- set every = setting_text("operation.quality_sample_every") -%}
{%- set first_day = days_ago(setting_text("operation.quality_keep_days")) -%}
{%- set salt = text_literal(setting_text("holdout.salt") ~ "|quality|" ~ every ~ "|") -%}

with

previous as (
    select * from {{ source("run", "previous_quality_samples") }}
    where period_start >= {{ first_day }}
),

drawn_before as (
    select distinct period_start from previous
    where period = {{ text_literal(every) }}
),

tickets as (
    select
        ticket_id,
        coalesce(owner_id, '(none)') as agent_id,
        {{ local_date("first_response_at") }} as answered_on,
        channel,
        touchpoint,
        kind
    from {{ ref("stg_tickets") }}
    where first_response_at >= {{ day_start_utc(first_day) }}
),

answered as (
    select
        *,
        {{ period_start(every, "answered_on") }} as period_start
    from tickets
),

-- Only periods that are over and were not drawn before: what was drawn stays.
new_ones as (
    select answered.*
    from answered
    left join drawn_before on answered.period_start = drawn_before.period_start
    where
        answered.period_start >= {{ first_day }}
        and answered.period_start < {{ period_start(every, as_of_date()) }}
        and drawn_before.period_start is null
),

drawn as (
    select
        *,
        md5({{ salt }} || cast(period_start as varchar) || '|' || ticket_id) as lot
    from new_ones
),

-- Everybody's first conversation comes before anybody's second.
in_turn as (
    select
        *,
        count(*) over (partition by period_start, agent_id) as agent_answered,
        row_number() over (partition by period_start, agent_id order by lot, ticket_id) as agent_no
    from drawn
),

numbered as (
    select
        *,
        row_number() over (partition by period_start order by agent_no, lot, ticket_id) as sample_no
    from in_turn
),

final as (
    select
        period,
        period_start,
        sample_no,
        ticket_id,
        agent_id,
        agent_no,
        agent_answered,
        answered_on,
        channel,
        touchpoint,
        kind,
        as_of
    from previous
    union all
    select
        {{ text_literal(every) }} as period,
        period_start,
        cast(sample_no as integer) as sample_no,
        ticket_id,
        agent_id,
        cast(agent_no as integer) as agent_no,
        cast(agent_answered as bigint) as agent_answered,
        answered_on,
        channel,
        touchpoint,
        kind,
        {{ as_of_utc() }} as as_of
    from numbered
    where sample_no <= {{ setting("operation.quality_sample_size", "integer") }}
)

select * from final
