with

tickets as (
    select * from {{ ref("stg_tickets") }}
),

ticket_events as (
    select * from {{ ref("stg_ticket_events") }}
),

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
),

by_ticket as (
    select
        ticket_id,
        min(case when status in ('solved', 'closed') then began_at end) as first_solved_at,
        max(case when status not in ('solved', 'closed') then began_at end) as last_unsolved_at,
        max(began_at) as last_event_at,
        coalesce(bool_or(status = 'solved'), false) as has_solved,
        coalesce(bool_or(status = 'closed'), false) as has_closed,
        coalesce(bool_or(status = 'pending'), false) as was_asked_back,
        coalesce(
            min(case when status <> 'closed' then actor_id end)
            <> max(case when status <> 'closed' then actor_id end),
            false
        ) as had_several_people
    from ticket_events
    group by ticket_id
),

first_follow_ups as (
    select
        ticket_id,
        min(done_at) as followed_up_at
    from follow_ups
    where ticket_id is not null and done_at is not null
    group by ticket_id
),

-- Where a ticket has no event of being solved or closed, its own times stand for them.
solved_first as (
    select
        tickets.*,
        by_ticket.last_unsolved_at,
        by_ticket.was_asked_back,
        by_ticket.had_several_people,
        by_ticket.ticket_id is not null as has_events,
        case when not coalesce(by_ticket.has_solved, false) then tickets.resolved_at end
            as own_resolved_at,
        case when not coalesce(by_ticket.has_closed, false) then tickets.closed_at end
            as own_closed_at,
        least(
            by_ticket.first_solved_at,
            case when not coalesce(by_ticket.has_solved, false) then tickets.resolved_at end,
            case when not coalesce(by_ticket.has_closed, false) then tickets.closed_at end
        ) as first_solved_at,
        greatest(by_ticket.last_event_at, tickets.opened_at) as last_event_at
    from tickets
    left join by_ticket on tickets.ticket_id = by_ticket.ticket_id
),

-- Only the few that were reopened are looked at event by event.
statuses as (
    select
        solved_first.ticket_id,
        ticket_events.began_at,
        ticket_events.status in ('solved', 'closed') as is_solved
    from solved_first
    inner join ticket_events on solved_first.ticket_id = ticket_events.ticket_id
    where solved_first.last_unsolved_at > solved_first.first_solved_at
    union all
    select
        ticket_id,
        own_resolved_at as began_at,
        true as is_solved
    from solved_first
    where last_unsolved_at > first_solved_at and own_resolved_at is not null
    union all
    select
        ticket_id,
        own_closed_at as began_at,
        true as is_solved
    from solved_first
    where last_unsolved_at > first_solved_at and own_closed_at is not null
),

compared as (
    select
        *,
        lag(is_solved) over (partition by ticket_id order by began_at, is_solved) as was_solved
    from statuses
),

reopened as (
    select
        ticket_id,
        count(*) filter (where was_solved and not is_solved) as reopenings,
        min(case when was_solved and not is_solved then began_at end) as first_reopened_at,
        max(case when was_solved and not is_solved then began_at end) as last_reopened_at,
        max(case when is_solved and not was_solved then began_at end) as last_solved_at
    from compared
    group by ticket_id
),

outcomes as (
    select
        solved_first.ticket_id,
        solved_first.customer_id,
        {%- for column in same_cause() %}
        solved_first.{{ column }},
        {%- endfor %}
        solved_first.opened_at,
        solved_first.first_solved_at,
        solved_first.last_event_at,
        case
            when reopened.ticket_id is null then solved_first.first_solved_at
            when reopened.last_solved_at >= reopened.last_reopened_at then reopened.last_solved_at
        end as solved_at,
        case
            when solved_first.has_events then coalesce(reopened.reopenings, 0)
            else solved_first.reopened_count
        end as reopenings,
        reopened.first_reopened_at,
        reopened.last_reopened_at,
        solved_first.was_asked_back,
        solved_first.had_several_people,
        coalesce(
            first_follow_ups.followed_up_at
            < coalesce(solved_first.first_solved_at, {{ as_of_utc() }}),
            false
        ) as was_followed_up,
        solved_first.customer_id is not null
        {%- for column in same_cause() %}
        and solved_first.{{ column }} is not null
        {%- endfor %} as has_cause
    from solved_first
    left join reopened on solved_first.ticket_id = reopened.ticket_id
    left join first_follow_ups on solved_first.ticket_id = first_follow_ups.ticket_id
),

neighbours as (
    select
        ticket_id,
        lag(ticket_id) over (same_cause) as previous_ticket_id,
        lag(solved_at) over (same_cause) as previous_solved_at,
        lead(opened_at) over (same_cause) as next_opened_at
    from outcomes
    where has_cause
    window same_cause as (
        partition by customer_id{% for column in same_cause() %}, {{ column }}{% endfor %}
        order by opened_at, ticket_id
    )
),

repeats as (
    select
        outcomes.*,
        neighbours.previous_ticket_id,
        case
            when neighbours.previous_ticket_id is null then null
            when neighbours.previous_solved_at <= outcomes.opened_at
                then
                    cast(
                        {{ seconds_between("neighbours.previous_solved_at", "outcomes.opened_at") }}
                        / 86400 as decimal(9, 2)
                    )
            else cast(0 as decimal(9, 2))
        end as days_since_previous,
        case
            when not outcomes.has_cause then null
            when neighbours.previous_ticket_id is null then false
            else
                neighbours.previous_solved_at is null
                or outcomes.opened_at <= {{ plus_repeat_days("neighbours.previous_solved_at") }}
        end as is_repeat,
        case
            when not outcomes.has_cause then null
            else
                coalesce(
                    outcomes.solved_at is null
                    or neighbours.next_opened_at <= {{ plus_repeat_days("outcomes.solved_at") }},
                    false
                )
                and neighbours.next_opened_at is not null
        end as is_repeated,
        outcomes.reopenings > 0 as is_reopened
    from outcomes
    left join neighbours on outcomes.ticket_id = neighbours.ticket_id
),

final as (
    select
        ticket_id,
        first_solved_at,
        solved_at,
        last_event_at,
        reopenings,
        is_reopened,
        first_reopened_at,
        last_reopened_at,
        was_asked_back,
        had_several_people,
        was_followed_up,
        is_repeat,
        case when is_repeat then previous_ticket_id end as repeats_ticket_id,
        days_since_previous,
        is_repeated,
        case
            when {{ plus_repeat_days("first_solved_at") }} <= {{ as_of_utc() }}
                then not {{ first_contact_failed() }}
        end as is_first_contact_resolved
    from repeats
)

select * from final
