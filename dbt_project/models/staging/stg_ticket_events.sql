{%- set as_of = as_of_utc() -%}

with

ticket_events as (
    select * from {{ source("raw", "ticket_events") }}
),

final as (
    select
        ticket_id,
        {{ quoted("at") }} as began_at,
        status,
        actor_id
    from ticket_events
    where {{ quoted("at") }} <= {{ as_of }}
)

select * from final
