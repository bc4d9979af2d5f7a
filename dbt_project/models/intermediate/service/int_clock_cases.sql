{{ config(materialized="view") }}

with

final as (
    select
        case_kind,
        case_id,
        clock,
        target_key,
        cycle,
        started_at,
        stopped_at,
        ended_at
    from {{ ref("int_ticket_clock_cases") }}
    union all
    select
        case_kind,
        case_id,
        clock,
        target_key,
        cycle,
        started_at,
        stopped_at,
        ended_at
    from {{ ref("int_case_clock_cases") }}
)

select * from final
