{{ config(materialized="view") }}

{%- set parts = ["care", "loyalty", "voice", "service", "state"] -%}

with

final as (
    {%- for part in parts %}
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from {{ ref("int_kpi_" ~ part) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
