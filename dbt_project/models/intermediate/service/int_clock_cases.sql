{{ config(materialized="view") }}

with

final as (
    {%- for cases in ["int_ticket_clock_cases", "int_case_clock_cases"] %}
    select
        case_kind,
        case_id,
        customer_id,
        owner_id,
        department,
        clock,
        target_key,
        cycle,
        started_at,
        stopped_at,
        ended_at
    from {{ ref(cases) }}
    {{ "union all" if not loop.last }}
    {%- endfor %}
)

select * from final
