with

cases as (
    select * from {{ ref("int_cases") }}
),

classes as (
    select * from {{ ref("int_case_classes") }}
),

final as (
    select
        cases.case_id,
        cases.case_kind,
        cases.ticket_id,
        cases.response_id,
        cases.customer_id,
        {{ local_date("cases.opened_at") }} as opened_on,
        cases.kind,
        cases.category,
        classes.pain_point,
        classes.class,
        classes.touchpoint,
        classes.matched_by,
        classes.evidence,
        classes.is_core,
        classes.department,
        cases.is_resolved
    from cases
    inner join classes on cases.case_id = classes.case_id
)

select * from final
