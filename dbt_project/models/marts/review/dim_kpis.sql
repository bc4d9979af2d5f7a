with

kpis as (
    select * from {{ source("program", "kpis") }}
),

asked as (
    select
        kpi,
        cast(count(*) filter (where is_target) as integer) as targets,
        bool_or(is_critical) as is_critical,
        bool_or(not is_target) as is_watched
    from (
        select
            kpi,
            true as is_target,
            is_critical
        from {{ ref("int_kpi_targets") }}
        union all
        select
            kpi,
            false as is_target,
            false as is_critical
        from {{ source("program", "watched_kpis") }}
    ) as listed
    group by kpi
),

final as (
    select
        kpis.kpi,
        kpis.position as kpi_no,
        kpis.about_en as title_en,
        kpis.about_zh as title_zh,
        kpis.unit,
        kpis.better,
        kpis.of as unit_of_denominator,
        kpis.is_state,
        kpis.is_proportion,
        kpis.numerator_en,
        kpis.numerator_zh,
        kpis.denominator_en,
        kpis.denominator_zh,
        kpis.models,
        coalesce(asked.targets, 0) as targets,
        coalesce(asked.is_critical, false) as is_critical,
        coalesce(asked.is_watched, false) as is_watched
    from kpis
    left join asked on kpis.kpi = asked.kpi
)

select * from final
