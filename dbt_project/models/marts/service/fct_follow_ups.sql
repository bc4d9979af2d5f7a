with

follow_ups as (
    select * from {{ ref("stg_follow_ups") }}
),

dated as (
    select
        *,
        coalesce(due_on, {{ local_date("planned_at") }}) as expected_on
    from follow_ups
),

final as (
    select
        follow_up_id,
        customer_id,
        planned_at,
        {{ local_date("planned_at") }} as planned_on,
        done_at,
        {{ local_date("done_at") }} as done_on,
        due_on,
        method,
        staff_id,
        owner_id,
        case
            when done_at is not null then 'done'
            when expected_on < {{ as_of_date() }} then 'overdue'
            when expected_on is not null then 'planned'
            else 'undated'
        end as state,
        case
            when {{ local_date("done_at") }} > due_on
                then {{ days_between("due_on", local_date("done_at")) }}
            when done_at is null and expected_on < {{ as_of_date() }}
                then {{ days_since("expected_on") }}
            else 0
        end as days_late
    from dated
)

select * from final
