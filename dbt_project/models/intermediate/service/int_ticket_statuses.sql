with

-- Every ticket is open when it is opened, whether that is recorded or not.
recorded as (
    select
        events.ticket_id,
        events.status,
        greatest(events.began_at, tickets.opened_at) as from_at
    from {{ ref("stg_ticket_events") }} as events
    inner join {{ ref("stg_tickets") }} as tickets on events.ticket_id = tickets.ticket_id
    where events.status <> 'open' or events.began_at > tickets.opened_at
),

unrecorded_solutions as (
    select
        ticket_id,
        'solved' as status,
        greatest(resolved_at, opened_at) as from_at
    from {{ ref("stg_tickets") }} as tickets
    where
        resolved_at is not null
        and not exists (
            select 1 from {{ ref("stg_ticket_events") }} as events
            where events.ticket_id = tickets.ticket_id and events.status = 'solved'
        )
),

unrecorded_ends as (
    select
        ticket_id,
        'closed' as status,
        greatest(closed_at, opened_at) as from_at
    from {{ ref("stg_tickets") }} as tickets
    where
        closed_at is not null
        and not exists (
            select 1 from {{ ref("stg_ticket_events") }} as events
            where events.ticket_id = tickets.ticket_id and events.status = 'closed'
        )
),

entries as (
    select
        ticket_id,
        'open' as status,
        opened_at as from_at
    from {{ ref("stg_tickets") }}
    union all
    select
        ticket_id,
        status,
        from_at
    from recorded
    union all
    select * from unrecorded_solutions
    union all
    select * from unrecorded_ends
),

periods as (
    select
        ticket_id,
        status,
        from_at,
        lead(from_at) over (
            partition by ticket_id
            order by
                from_at,
                case status
                    when 'open' then 1 when 'pending' then 2 when 'on_hold' then 3
                    when 'solved' then 4 else 5
                end
        ) as until_at
    from entries
),

final as (
    select
        ticket_id,
        status,
        from_at,
        until_at
    from periods
    where coalesce(until_at > from_at, true)
)

select * from final
