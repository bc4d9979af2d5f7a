with

staff as (
    select * from {{ source("raw", "staff") }}
),

final as (
    select
        staff_id,
        role,
        department,
        supervisor_id,
        coalesce(is_active, true) as is_active
    from staff
)

select * from final
