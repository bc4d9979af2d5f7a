{%- set today = as_of_date() -%}

with

signals as (
    select * from {{ source("program", "signals") }}
),

alerts as (
    select * from {{ ref("fct_customer_alerts") }}
),

counted as (
    select
        signal,
        count(*) filter (where is_open) as alerts_open,
        count(*) filter (where onset_on > {{ today }} - 7) as opened_7_days,
        count(*) filter (where onset_on > {{ today }} - 30) as opened_30_days,
        count(*) filter (where closed_on > {{ today }} - 30) as closed_30_days,
        cast(median({{ days_since("onset_on") }}) filter (where is_open) as double)
            as median_age_days
    from alerts
    group by signal
),

final as (
    select
        signals.id as signal,
        signals.title_en as signal_title_en,
        signals.title_zh as signal_title_zh,
        cast(signals.points as integer) as points,
        coalesce(counted.alerts_open, 0) as alerts_open,
        coalesce(counted.opened_7_days, 0) as opened_7_days,
        coalesce(counted.opened_30_days, 0) as opened_30_days,
        coalesce(counted.closed_30_days, 0) as closed_30_days,
        counted.median_age_days
    from signals
    left join counted on signals.id = counted.signal
)

select * from final
