{{ config(materialized="view") }}

with

stops as (
    select * from {{ ref("int_ticket_stops") }}
),

reopened as (
    select
        statuses.ticket_id,
        statuses.from_at,
        statuses.status in ('solved', 'closed') as is_done
    from {{ ref("int_ticket_statuses") }} as statuses
    inner join stops on statuses.ticket_id = stops.ticket_id
    where stops.is_reopened
),

compared as (
    select
        *,
        lag(is_done) over (partition by ticket_id order by from_at) as was_done
    from reopened
),

turns as (
    select
        ticket_id,
        is_done,
        from_at as solved_at,
        lead(from_at) over (partition by ticket_id order by from_at) as reopened_at
    from compared
    where is_done is distinct from was_done
),

final as (
    select
        ticket_id,
        1 as cycle,
        first_done_at as solved_at,
        cast(null as timestamp) as reopened_at
    from stops
    where first_done_at is not null and not is_reopened
    union all
    select
        ticket_id,
        cast(row_number() over (partition by ticket_id order by solved_at) as integer) as cycle,
        solved_at,
        reopened_at
    from turns
    where is_done
)

select * from final
