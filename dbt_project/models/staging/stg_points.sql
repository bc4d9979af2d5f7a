{%- set as_of = as_of_utc() -%}

with

points as (
    select * from {{ source("raw", "points") }}
),

final as (
    select
        entry_id,
        customer_id,
        {{ quoted("at") }} as entered_at,
        reason,
        points,
        expires_on
    from points
    where {{ quoted("at") }} <= {{ as_of }}
)

select * from final
