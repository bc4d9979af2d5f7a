with

cells as (
    select * from {{ ref("int_kpi_cells") }}
    where is_by_owner
),

final as (
    select
        kpi,
        period_type,
        period_start,
        owner_id,
        numerator,
        denominator
    from cells
)

select * from final
