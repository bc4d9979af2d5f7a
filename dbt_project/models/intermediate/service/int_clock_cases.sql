{{ config(materialized="view") }}

with

final as (
    select * from {{ ref("int_ticket_clock_cases") }}
    union all
    select * from {{ ref("int_case_clock_cases") }}
)

select * from final
