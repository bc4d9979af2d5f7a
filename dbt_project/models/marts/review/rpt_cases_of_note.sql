{%- set kept = setting("operation.review_cases", "integer") -%}

with

cases as (
    select * from {{ ref("fct_cases") }}
),

outcomes as (
    select * from {{ ref("int_ticket_outcomes") }}
),

raised as (
    select
        case_id,
        case_kind,
        level,
        raised_at
    from {{ source("ledger", "escalations") }}
    where raised_at <= {{ as_of_utc() }} and level <> 'warning'
),

steps as (
    select
        id,
        position
    from {{ source("program", "escalation") }}
),

escalated as (
    select
        raised.case_id,
        min(raised.raised_at) as noted_at,
        count(*) as escalations,
        max(coalesce(steps.position, 0)) as level_no,
        {{ latest("raised.level", "coalesce(steps.position, 0)") }} as level
    from raised
    left join steps on raised.level = steps.id
    where raised.case_kind = 'ticket'
    group by raised.case_id
),

noted as (
    select
        'escalated' as note,
        cases.case_id,
        escalated.noted_at,
        escalated.level,
        escalated.escalations,
        cases.kind = 'complaint' as is_complaint,
        escalated.level_no as weight
    from escalated
    inner join cases on escalated.case_id = cases.case_id
    union all
    -- Praised: solved, not reopened, and every answer to it the best there is.
    select
        'praised' as note,
        cases.case_id,
        coalesce(cases.confirmed_at, cases.solved_at) as noted_at,
        cast(null as varchar) as level,
        0 as escalations,
        cases.kind = 'complaint' as is_complaint,
        case when cases.confirmation is null then 0 else 1 end
        + case when cases.satisfaction is null then 0 else 1 end as weight
    from cases
    inner join outcomes on cases.case_id = outcomes.ticket_id
    where
        cases.case_kind = 'ticket'
        and cases.is_resolved
        and not cases.is_dissatisfied
        and coalesce(cases.satisfaction >= 1, cases.confirmation = 'satisfied', false)
        and coalesce(cases.confirmation, 'satisfied') = 'satisfied'
        and not coalesce(outcomes.is_reopened, false)
),

dated as (
    {%- for period in ["month", "quarter"] %}
    select
        *,
        '{{ period }}' as period_type,
        {{ period_start(period, local_date("noted_at")) }} as period_start
    from noted
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

placed as (
    select
        *,
        count(*) over (partition by period_type, period_start, note) as cases_noted,
        row_number() over (
            partition by period_type, period_start, note
            order by
                weight desc,
                coalesce(is_complaint, false) desc,
                escalations desc,
                noted_at desc,
                case_id asc
        ) as place
    from dated
),

final as (
    select
        placed.period_type,
        placed.period_start,
        placed.note,
        cast(placed.place as integer) as place,
        cast(placed.cases_noted as bigint) as cases_noted,
        placed.case_id,
        {{ local_date("placed.noted_at") }} as noted_on,
        cases.opened_on,
        cases.kind,
        cases.category,
        cases.touchpoint,
        cases.urgency,
        cases.department,
        cases.is_resolved,
        cast({{ seconds_between("cases.opened_at", "cases.solved_at") }} / 3600 as decimal(12, 2))
            as hours_to_solution,
        cases.resolution,
        cases.confirmation,
        cases.satisfaction,
        placed.level,
        cast(placed.escalations as bigint) as escalations
    from placed
    inner join cases on placed.case_id = cases.case_id
    where placed.place <= {{ kept }}
)

select * from final
