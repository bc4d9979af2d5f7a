with

cells as (
    select * from {{ ref("int_kpi_cells") }}
    where not is_by_owner
),

final as (
    select
        kpi,
        period_type,
        period_start,
        segment,
        stage,
        tier,
        region,
        touchpoint,
        is_core,
        numerator,
        denominator
    from cells
)

select * from final
