{%- set period = setting_text("operation.response_statistics_every") -%}
{%- set slices = {
    "all": "'all'",
    "owner": "owner_id",
    "department": "department",
    "touchpoint": "touchpoint",
    "channel": "channel",
} -%}

with

clocks as (
    select
        clock,
        clock_en,
        clock_zh,
        {{ period_start(period, local_date("opened_at")) }} as period_start,
        owner_id,
        department,
        touchpoint,
        channel,
        is_open,
        state,
        elapsed_seconds
    from {{ ref("fct_ticket_clocks") }}
),

sliced as (
    {%- for slice, value in slices.items() %}
    select
        period_start,
        clock,
        clock_en,
        clock_zh,
        '{{ slice }}' as slice,
        coalesce({{ value }}, '(unknown)') as slice_value,
        is_open,
        state,
        case when not is_open then elapsed_seconds end as taken_seconds
    from clocks
    {{ "union all" if not loop.last }}
    {%- endfor %}
),

final as (
    select
        period_start,
        clock,
        min(clock_en) as clock_en,
        min(clock_zh) as clock_zh,
        slice,
        slice_value,
        count(*) as tickets,
        count(*) filter (where is_open) as waiting,
        count(taken_seconds) as answered,
        count(*) filter (where state = 'met') as on_time,
        count(*) filter (where state = 'breached') as late,
        case
            when count(*) filter (where state in ('met', 'breached')) > 0
                then
                    cast(count(*) filter (where state = 'met') as double)
                    / count(*) filter (where state in ('met', 'breached'))
        end as on_time_share,
        cast({{ percentile("taken_seconds", 0.5) }} / 60 as decimal(12, 1)) as median_minutes,
        cast({{ percentile("taken_seconds", 0.9) }} / 60 as decimal(12, 1)) as p90_minutes,
        cast(max(taken_seconds) / 60 as decimal(12, 1)) as longest_minutes
    from sliced
    group by period_start, clock, slice, slice_value
)

select * from final
