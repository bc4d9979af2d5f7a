with

clocks as (
    select * from {{ ref("fct_ticket_clocks") }}
),

limits as (
    select * from {{ source("program", "corrections") }}
),

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
),

workdays as (
    select
        date as day,
        cast(sum(case when is_workday then 1 else 0 end) over (
            order by date rows between unbounded preceding and current row
        ) as integer) as workdays,
        is_workday
    from {{ source("program", "calendar_days") }}
),

-- Where the limit is the target, it was passed when the clock broke; else the answer tells.
late as (
    select
        clocks.ticket_id,
        clocks.clock,
        clocks.clock_en,
        clocks.clock_zh,
        clocks.customer_id,
        clocks.owner_id,
        clocks.department,
        clocks.opened_at,
        clocks.stopped_at as answered_at,
        clocks.elapsed_seconds,
        limits.over_seconds,
        limits.correct_within,
        limits.correct_within_amount as amount,
        limits.correct_within_unit as unit,
        limits.correct_within_seconds as within_seconds,
        case
            when clocks.target_seconds = limits.over_seconds then clocks.breached_at
            else clocks.stopped_at
        end as found_at
    from clocks
    inner join limits on clocks.clock = limits.clock
    where clocks.elapsed_seconds > limits.over_seconds
),

found as (
    select
        *,
        {{ local_date("found_at") }} as found_on
    from late
    where found_at is not null
),

-- Somebody came back to the customer about this ticket after the late answer.
corrected as (
    select
        found.ticket_id,
        found.clock,
        min(follow_ups.done_at) as corrected_at
    from found
    inner join follow_ups
        on
            found.ticket_id = follow_ups.ticket_id
            and found.answered_at <= follow_ups.done_at
    group by found.ticket_id, found.clock
),

dated as (
    select
        found.*,
        corrected.corrected_at,
        case
            when found.unit = 'wd' then due_days.day
            when found.unit in ('s', 'm', 'h')
                then {{ local_date(seconds_after("found.found_at", "found.within_seconds")) }}
            else {{ plus_units("found.found_on", "found.amount", "found.unit") }}
        end as correct_by
    from found
    left join corrected
        on found.ticket_id = corrected.ticket_id and found.clock = corrected.clock
    left join workdays as found_days on found.found_on = found_days.day
    left join workdays as due_days
        on
            found.unit = 'wd'
            and due_days.is_workday
            and due_days.workdays = found_days.workdays + found.amount
),

final as (
    select
        ticket_id,
        clock,
        clock_en,
        clock_zh,
        customer_id,
        owner_id,
        department,
        opened_at,
        answered_at,
        elapsed_seconds,
        over_seconds,
        found_on,
        correct_within,
        correct_by,
        corrected_at,
        case
            when corrected_at is not null then 'corrected'
            when {{ as_of_date() }} > correct_by then 'overdue'
            when answered_at is null then 'unanswered'
            else 'to_correct'
        end as state
    from dated
)

select * from final
