with

previous as (
    select * from {{ source("run", "previous_care_days") }}
),

decisions as (
    select * from {{ ref("fct_care_decisions") }}
),

known as (
    select decision_key from {{ source("run", "previous_decisions") }}
),

final as (
    select
        as_of_on,
        rule,
        outcome,
        gate,
        decisions,
        came_up,
        as_of
    from previous
    where as_of < {{ as_of_utc() }} and as_of_on < {{ as_of_date() }}
    union all
    select
        decisions.as_of_on,
        decisions.rule,
        decisions.outcome,
        coalesce(decisions.gate, '(none)') as gate,
        count(*) as decisions,
        count(*) filter (where known.decision_key is null) as came_up,
        decisions.as_of
    from decisions
    left join known on decisions.decision_key = known.decision_key
    group by
        decisions.as_of_on,
        decisions.rule,
        decisions.outcome,
        coalesce(decisions.gate, '(none)'),
        decisions.as_of
)

select * from final
