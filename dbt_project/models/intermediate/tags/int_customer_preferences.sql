{%- set observed_first = setting_text("channel_preference.first") == "observed" -%}
{%- set window_days = setting_text("channel_preference.window_days") -%}
{%- set fallback_part = setting("channel_preference.contact_times.fallback") -%}

with

customers as (
    select
        profile.customer_id,
        {{ contact_channel("customers.preferred_channel") }} as asked_channel,
        nullif(trim(customers.preferred_contact_time), '') as asked_time
    from {{ ref("int_customer_profile") }} as profile
    inner join {{ ref("stg_customers") }} as customers
        on profile.customer_id = customers.customer_id
),

channels as (
    select * from {{ ref("int_customer_channels") }}
),

responses as (
    select * from {{ ref("int_customer_responses") }}
),

dayparts as (
    {{ dayparts_query() }}
),

-- The few ways a time of day is written, each read once.
written_times as (
    select
        asked_time,
        {{ time_part("asked_time", 1) }} * 60 + {{ time_part("asked_time", 2) }} as from_minute,
        {{ time_part("asked_time", 3) }} * 60 + {{ time_part("asked_time", 4) }} as until_minute,
        greatest({{ time_part("asked_time", 2) }}, {{ time_part("asked_time", 4) }}) as minutes
    from (select distinct asked_time from customers) as written
    where asked_time is not null
),

asked_times as (
    select
        asked_time,
        from_minute,
        until_minute,
        {{ daypart("((from_minute + until_minute) / 2)") }} as daypart
    from written_times
    where from_minute < until_minute and until_minute <= 24 * 60 and minutes < 60
),

scored_parts as (
    select
        customer_id,
        daypart,
        sum(responses) as responses,
        sum(score) as score,
        max(last_response_at) as last_response_at
    from responses
    where daypart is not null
    group by customer_id, daypart
),

best_parts as (
    select
        scored_parts.customer_id,
        sum(scored_parts.responses) as all_responses,
        {{ last_row({
            "score": "scored_parts.score",
            "responses": "scored_parts.responses",
            "last_response_at": "scored_parts.last_response_at",
            "earlier": "-dayparts.place",
            "daypart": "scored_parts.daypart",
        }) }} as best
    from scored_parts
    inner join dayparts on scored_parts.daypart = dayparts.daypart
    group by scored_parts.customer_id
),

judged as (
    select
        customers.customer_id,
        customers.asked_channel,
        best_channels.channel as observed_channel,
        best_channels.responses,
        coalesce(best_channels.all_responses, 0) as all_responses,
        {{ field_of("best_parts.best", "daypart") }} as observed_part,
        asked_times.daypart as asked_part,
        asked_times.from_minute as asked_from,
        asked_times.until_minute as asked_until,
        coalesce(
            best_channels.all_responses
            >= {{ setting("channel_preference.min_events", "integer") }},
            false
        ) as is_channel_observed,
        coalesce(
            customers.asked_channel in ({{ setting_list("channel_preference.channels") }}), false
        ) as is_channel_stated,
        coalesce(
            best_parts.all_responses
            >= {{ setting("channel_preference.contact_times.min_events", "integer") }},
            false
        ) as is_time_observed,
        asked_times.asked_time is not null as is_time_stated
    from customers
    left join channels as best_channels
        on
            customers.customer_id = best_channels.customer_id
            and best_channels.channel_rank = 1
    left join best_parts on customers.customer_id = best_parts.customer_id
    left join asked_times on customers.asked_time = asked_times.asked_time
),

based as (
    select
        *,
        case
            {%- if observed_first %}
            when is_channel_observed then 'observed'
            when is_channel_stated then 'stated'
            {%- else %}
            when is_channel_stated then 'stated'
            when is_channel_observed then 'observed'
            {%- endif %}
            else 'fallback'
        end as channel_basis,
        case
            {%- if observed_first %}
            when is_time_observed then 'observed'
            when is_time_stated then 'stated'
            {%- else %}
            when is_time_stated then 'stated'
            when is_time_observed then 'observed'
            {%- endif %}
            else 'fallback'
        end as time_basis
    from judged
),

chosen as (
    select
        *,
        case time_basis
            when 'observed' then observed_part
            when 'stated' then asked_part
            else {{ fallback_part }}
        end as daypart
    from based
),

final as (
    select
        chosen.customer_id,
        case chosen.channel_basis
            when 'observed' then chosen.observed_channel
            when 'stated' then chosen.asked_channel
            else {{ setting("channel_preference.fallback.0") }}
        end as preferred_channel,
        chosen.channel_basis as preferred_channel_basis,
        case
            when chosen.channel_basis = 'observed'
                then
                    cast(chosen.responses as string) || ' of '
                    || cast(chosen.all_responses as string)
                    || ' responses in {{ window_days }} days'
            when chosen.channel_basis = 'stated' then 'asked for by the customer'
            when chosen.asked_channel is not null
                then 'the channel asked for is not in use: first of the fallback order'
            when chosen.all_responses = 0 then 'no responses: first of the fallback order'
            else
                'only ' || cast(chosen.all_responses as string)
                || ' in {{ window_days }} days: first of the fallback order'
        end as preferred_channel_reason,
        chosen.daypart as preferred_daypart,
        {{ clock_text(
            "case when chosen.time_basis = 'stated' then chosen.asked_from"
            ~ " else dayparts.from_minute end"
        ) }} as preferred_time_from,
        {{ clock_text(
            "case when chosen.time_basis = 'stated' then chosen.asked_until"
            ~ " else dayparts.until_minute end"
        ) }} as preferred_time_until,
        chosen.time_basis as preferred_time_basis
    from chosen
    left join dayparts on chosen.daypart = dayparts.daypart
)

select * from final
