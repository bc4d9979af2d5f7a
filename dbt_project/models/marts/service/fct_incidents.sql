with

incidents as (
    select * from {{ ref("int_incidents") }}
),

final as (
    select
        incident_id,
        {{ local_date("began_at") }} as began_on,
        first_ticket_at,
        began_at,
        last_ticket_at,
        over_at,
        over_at is not null as is_over,
        tickets,
        customers,
        department,
        start_due_at,
        started_at,
        case
            when started_at is not null then started_at <= start_due_at
            when start_due_at < {{ as_of_utc() }} then false
        end as is_started_in_time
    from incidents
)

select * from final
