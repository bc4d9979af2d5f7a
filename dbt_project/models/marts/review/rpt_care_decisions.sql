with

decisions as (
    select * from {{ ref("fct_care_decisions") }}
),

final as (
    select
        as_of_on,
        rule,
        purpose,
        outcome,
        coalesce(gate, '(none)') as gate,
        coalesce(segment, '(unknown)') as segment,
        count(*) as decisions,
        count(distinct customer_id) as customers,
        count(*) filter (where arm = 'treated') as treated,
        count(*) filter (where arm = 'holdout') as held_out,
        min(eligible_on) as first_eligible_on,
        as_of
    from decisions
    group by
        as_of_on,
        rule,
        purpose,
        outcome,
        coalesce(gate, '(none)'),
        coalesce(segment, '(unknown)'),
        as_of
)

select * from final
