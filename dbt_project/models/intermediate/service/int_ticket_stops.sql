with

statuses as (
    select
        *,
        status in ('solved', 'closed') as is_done,
        status = 'closed' as is_closed
    from {{ ref("int_ticket_statuses") }}
),

ticket_stops as (
    select
        ticket_id,
        min(case when is_done then from_at end) as first_done_at,
        max(case when not is_done then from_at end) as last_worked_from,
        max(case when is_done and until_at is null then 1 else 0 end) as is_done,
        max(case when is_closed and until_at is null then 1 else 0 end) as is_closed,
        -- Periods follow one another: the last other one ends where the present state began.
        coalesce(max(case when not is_done then until_at end), min(from_at)) as done_since,
        coalesce(max(case when not is_closed then until_at end), min(from_at)) as closed_since
    from statuses
    group by ticket_id
),

final as (
    select
        ticket_id,
        first_done_at,
        case when is_done = 1 then done_since end as done_since,
        case when is_closed = 1 then closed_since end as closed_since,
        coalesce(last_worked_from >= first_done_at, false) as is_reopened
    from ticket_stops
)

select * from final
