{%- set kinds = [
    "delivered", "opened", "clicked", "replied", "answered", "done", "unsubscribed",
] -%}

with

feedback as (
    select * from {{ source("ledger", "feedback") }}
    where at_utc <= {{ as_of_utc() }} and message_id is not null
),

final as (
    select
        message_id,
        {%- for kind in kinds %}
        min(at_utc) filter (where kind = '{{ kind }}') as {{ kind }}_at,
        {%- endfor %}
        min(at_utc) filter (where kind in ('hard_bounce', 'soft_bounce')) as bounced_at,
        min(at_utc) filter (where kind = 'complaint') as complained_at
    from feedback
    group by message_id
)

select * from final
