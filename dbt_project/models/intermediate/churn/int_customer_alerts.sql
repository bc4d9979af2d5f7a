{%- set today = as_of_date() -%}
{%- set shown = [
    "signal_title_en", "signal_title_zh", "observed", "expected_low", "expected_high",
    "likelihood", "evidence", "points"
] -%}

with

previous as (
    select * from {{ source("run", "previous_customer_alerts") }}
),

signals as (
    select * from {{ ref("int_customer_signals") }}
),

rules as (
    select * from {{ source("program", "signals") }}
),

profile as (
    select * from {{ ref("int_customer_profile") }}
),

present as (
    select
        signals.*,
        rules.title_en as signal_title_en,
        rules.title_zh as signal_title_zh,
        rules.points
    from signals
    inner join rules on signals.signal = rules.id
),

-- What this very day said is undone, so that a rerun of the day starts where it started.
open_before as (
    select
        *,
        case
            when last_seen_on < {{ today }} then last_seen_on
            else coalesce(seen_before_on, onset_on)
        end as seen_last,
        case when last_seen_on < {{ today }} then seen_before_on end as seen_earlier
    from previous
    where as_of < {{ as_of_utc() }} and (closed_on is null or closed_on >= {{ today }})
),

closed_before as (
    select * from previous
    where
        as_of < {{ as_of_utc() }}
        and closed_on < {{ today }}
        and closed_on >= {{ today }} - {{ setting("churn.keep_closed_days", "integer") }}
),

followed as (
    select
        open_before.customer_id,
        open_before.signal,
        open_before.onset_on,
        open_before.as_of,
        coalesce(not present.is_expired, false) as is_seen,
        open_before.seen_last,
        open_before.seen_earlier,
        {%- for column in shown %}
        case
            when present.is_expired is false then present.{{ column }}
            else open_before.{{ column }}
        end as {{ column }},
        {%- endfor %}
        case
            when profile.customer_id is null then 'left_data'
            when rules.id is null then 'signal_removed'
            when present.is_expired then 'expired'
            when
                present.customer_id is null
                and {{ days_since("open_before.seen_last") }}
                >= coalesce(
                    rules.clears_after_days,
                    {{ setting("churn.clears_after_days", "integer") }}
                )
                then 'cleared'
        end as close_reason
    from open_before
    left join present
        on
            open_before.customer_id = present.customer_id
            and open_before.signal = present.signal
    left join rules on open_before.signal = rules.id
    left join profile on open_before.customer_id = profile.customer_id
),

opened as (
    select present.*
    from present
    left join open_before
        on
            present.customer_id = open_before.customer_id
            and present.signal = open_before.signal
    where open_before.customer_id is null and not present.is_expired
),

final as (
    select
        customer_id,
        signal,
        onset_on,
        last_seen_on,
        seen_before_on,
        closed_on,
        close_reason,
        {%- for column in shown %}
        {{ column }},
        {%- endfor %}
        as_of
    from closed_before
    union all
    select
        customer_id,
        signal,
        onset_on,
        case when is_seen then {{ today }} else seen_last end as last_seen_on,
        -- One that opened earlier today was not seen before.
        case when is_seen then nullif(seen_last, {{ today }}) else seen_earlier end
            as seen_before_on,
        case when close_reason is not null then {{ today }} end as closed_on,
        close_reason,
        {%- for column in shown %}
        {{ column }},
        {%- endfor %}
        as_of
    from followed
    union all
    select
        customer_id,
        signal,
        {{ today }} as onset_on,
        {{ today }} as last_seen_on,
        null as seen_before_on,
        null as closed_on,
        null as close_reason,
        {%- for column in shown %}
        {{ column }},
        {%- endfor %}
        {{ as_of_utc() }} as as_of
    from opened
)

select * from final
