{%- set window_from = days_start(setting("channel_preference.window_days", "integer")) -%}

with

interactions as (
    select * from {{ ref("stg_interactions") }}
),

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
),

responses as (
    select
        customer_id,
        {{ contact_channel("channel") }} as channel,
        kind,
        occurred_at
    from interactions
    where occurred_at >= {{ window_from }} and kind in ({{ response_kinds() }})
    union all
    select
        customer_id,
        {{ contact_channel("method") }} as channel,
        method as kind,
        done_at as occurred_at
    from follow_ups
    where is_answered and done_at >= {{ window_from }} and method in ({{ response_kinds() }})
),

timed as (
    select
        customer_id,
        channel,
        occurred_at,
        {{ response_weight("kind") }} as weight,
        {{ minute_of(local_time("occurred_at")) }} as local_minute
    from responses
    where channel in ({{ setting_list("channel_preference.channels") }})
),

final as (
    select
        customer_id,
        channel,
        {{ daypart("local_minute") }} as daypart,
        cast(count(*) as integer) as responses,
        cast(sum(weight) as decimal(18, 3)) as score,
        max(occurred_at) as last_response_at
    from timed
    group by customer_id, channel, {{ daypart("local_minute") }}
)

select * from final
