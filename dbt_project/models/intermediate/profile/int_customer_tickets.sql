with

tickets as (
    select * from {{ ref("stg_tickets") }}
),

final as (
    select
        customer_id,
        {%- for window in ["medium", "long"] %}
        count(*) filter (where opened_at >= {{ window_start(window) }}) as tickets_{{ window }},
        count(*) filter (where kind = 'complaint' and opened_at >= {{ window_start(window) }})
            as complaints_{{ window }},
        {%- endfor %}
        count(*) filter (where resolved_at is not null and opened_at >= {{ window_start("long") }})
            as tickets_resolved_long,
        round(avg({{ exact_seconds_between("opened_at", "first_response_at") }}) filter (
            where opened_at >= {{ window_start("long") }}
        ) / 3600, 4)
            as first_response_hours,
        round(avg({{ exact_seconds_between("opened_at", "resolved_at") }}) filter (
            where opened_at >= {{ window_start("long") }}
        ) / 3600, 4)
            as resolution_hours,
        count(*) filter (where is_open) as open_tickets,
        min(opened_at) as first_ticket_at,
        max(opened_at) as last_ticket_at
    from tickets
    where customer_id is not null
    group by customer_id
)

select * from final
