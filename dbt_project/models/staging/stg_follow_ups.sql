{%- set as_of = as_of_utc() -%}

with

follow_ups as (
    select * from {{ source("raw", "follow_ups") }}
),

final as (
    select
        follow_up_id,
        customer_id,
        planned_at,
        {{ seen("done_at", as_of) }} as done_at,
        method,
        done_at <= {{ as_of }} and feedback is not null as is_answered,
        staff_id,
        owner_id,
        due_on,
        ticket_id
    from follow_ups
)

select * from final
