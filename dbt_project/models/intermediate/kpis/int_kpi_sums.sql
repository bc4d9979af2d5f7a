{%- set columns = {
    "all": "'(all)'",
    "segment": "segment",
    "stage": "stage",
    "tier": "tier",
    "region": "region",
    "owner": "owner_id",
    "touchpoint": "touchpoint",
    "core": "case when is_core then 'core' when not is_core then 'other' else '(unknown)' end",
} -%}

with

cells as (
    select * from {{ ref("int_kpi_cells") }}
),

summed as (
    {%- for kind, column in columns.items() %}
    select
        kpi,
        period_type,
        period_start,
        '{{ kind }}' as slice_kind,
        {{ column }} as slice,
        cast(sum(numerator) as decimal(38, 6)) as numerator,
        cast(sum(denominator) as decimal(38, 6)) as denominator
    from cells
    where {{ "" if kind == "owner" else "not " }}is_by_owner
    group by kpi, period_type, period_start, slice
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- Where nothing of a KPI has a touchpoint, a tier …, there is nothing to tell apart.
final as (
    select * from summed
    qualify bool_or(slice <> '(unknown)') over (partition by kpi, slice_kind)
)

select * from final
