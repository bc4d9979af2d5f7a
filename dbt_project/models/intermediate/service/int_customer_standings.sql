{{ config(materialized="view") }}

with

changes as (
    select * from {{ ref("fct_customer_changes") }}
    where dimension in ('segment', 'stage', 'tier')
),

dated as (
    select
        customer_id,
        dimension,
        to_value,
        as_of,
        min(as_of) over (partition by customer_id) as first_seen_at,
        lead(as_of) over (partition by customer_id, dimension order by as_of) as held_until
    from changes
),

final as (
    select
        customer_id,
        dimension,
        to_value as standing,
        -- What was found when the customer was first seen is the best there is for before.
        case when as_of > first_seen_at then as_of end as held_from,
        held_until
    from dated
    where to_value is not null
)

select * from final
