{%- set as_of = as_of_utc() -%}

with

consents as (
    select * from {{ source("raw", "consents") }}
),

final as (
    select
        customer_id,
        purpose,
        channel,
        changed_at,
        granted as is_granted,
        source as recorded_in
    from consents
    where changed_at <= {{ as_of }}
)

select * from final
