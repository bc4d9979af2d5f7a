with

kpi_values as (
    select * from {{ ref("int_kpi_values") }}
),

kpis as (
    select * from {{ source("program", "kpis") }}
),

targets as (
    select * from {{ ref("rpt_kpi_targets") }}
),

periods as (
    select * from {{ ref("int_kpi_periods") }}
),

-- Of several the nearest deadline ahead; past ones give way to later ones.
in_force as (
    select * from targets
    qualify row_number() over (
        partition by kpi, period_type, period_start, slice_kind, slice
        order by
            case when due_on >= least(period_end, {{ as_of_date() }}) then due_on end nulls last,
            coalesce(due_on, started_on) desc,
            target_no
    ) = 1
),

-- Figures of the company's own source go before those of the program.
figures as (
    {%- for schema in ["raw", "program"] %}
    select
        kpi,
        {{ named_period_start("period") }} as starts_on,
        length(period) as fineness,
        {{ loop.index }} as place,
        value,
        source
    from {{ source(schema, "benchmarks") }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

benchmarks as (
    select
        periods.period_type,
        periods.period_start,
        figures.kpi,
        figures.value,
        figures.source
    from periods
    inner join figures on periods.period_end > figures.starts_on
    qualify row_number() over (
        partition by periods.period_type, periods.period_start, figures.kpi
        order by
            figures.starts_on desc,
            figures.fineness desc,
            figures.place asc,
            figures.source asc,
            figures.value asc
    ) = 1
),

joined as (
    select
        kpi_values.*,
        kpis.position as kpi_no,
        kpis.about_en as title_en,
        kpis.about_zh as title_zh,
        kpis.unit,
        kpis.better,
        kpis.is_state,
        kpis.is_proportion,
        cast(kpi_values.denominator as double) as number,
        in_force.target_id,
        in_force.target,
        in_force.baseline,
        in_force.baseline_period_start,
        in_force.attainment,
        in_force.state,
        in_force.is_critical,
        benchmarks.value as benchmark,
        benchmarks.source as benchmark_source,
        previous.value as previous_value
    from kpi_values
    inner join kpis on kpi_values.kpi = kpis.kpi
    left join in_force
        on
            kpi_values.kpi = in_force.kpi
            and kpi_values.period_type = in_force.period_type
            and kpi_values.period_start = in_force.period_start
            and kpi_values.slice_kind = in_force.slice_kind
            and kpi_values.slice = in_force.slice
    left join benchmarks
        on
            kpi_values.kpi = benchmarks.kpi
            and kpi_values.period_type = benchmarks.period_type
            and kpi_values.period_start = benchmarks.period_start
    left join kpi_values as previous
        on
            kpi_values.kpi = previous.kpi
            and kpi_values.period_type = previous.period_type
            and kpi_values.period_start = previous.period_end
            and kpi_values.slice_kind = previous.slice_kind
            and kpi_values.slice = previous.slice
),

final as (
    select
        kpi,
        kpi_no,
        title_en,
        title_zh,
        unit,
        better,
        is_state,
        period_type,
        period_start,
        period_end,
        is_over,
        slice_kind,
        slice,
        numerator,
        denominator,
        value,
        case when is_proportion then {{ wilson("-", "value", "number") }} end as low,
        case when is_proportion then {{ wilson("+", "value", "number") }} end as high,
        target_id,
        target,
        baseline,
        baseline_period_start,
        attainment,
        state,
        is_critical,
        benchmark,
        benchmark_source,
        previous_value,
        value - previous_value as change,
        {{ as_of_date() }} as as_of_on
    from joined
)

select * from final
