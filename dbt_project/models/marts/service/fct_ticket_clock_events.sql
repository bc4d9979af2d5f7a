with

events as (
    select * from {{ ref("int_clock_events") }}
    where case_kind = 'ticket'
),

final as (
    select
        case_id as ticket_id,
        clock,
        cycle,
        event_no,
        happened_at,
        event,
        elapsed_seconds
    from events
)

select * from final
