{%- set enough = setting("operation.min_sample", "integer") -%}

with

kpi_values as (
    select * from {{ ref("rpt_kpis") }}
    where period_type = 'quarter' and slice_kind in ('all', 'stage')
),

rules as (
    select
        rules.*,
        levels.level,
        {{ plus_units(
            as_of_date(), "levels.fix_within_amount", "levels.fix_within_unit"
        ) }} as fix_by
    from {{ source("program", "finding_rules") }} as rules
    inner join {{ source("program", "findings") }} as levels on rules.finding = levels.level
),

previous as (
    select * from {{ source("run", "previous_kpi_findings") }}
),

-- The last quarter that is over; what holds on a day is looked at today.
latest as (
    select * from kpi_values
    where is_over or is_state
    qualify row_number() over (
        partition by kpi, slice_kind, slice
        order by period_start desc
    ) = 1
),

looked_at as (
    select
        rules.id as rule,
        rules.level,
        rules.kpi,
        rules.stage,
        rules.direction,
        rules.fix_by,
        latest.value,
        coalesce(rules.value, latest.benchmark * (1 + rules.against_benchmark)) as limit_value
    from rules
    inner join latest
        on
            rules.kpi = latest.kpi
            and latest.slice_kind = case when rules.stage is null then 'all' else 'stage' end
            and latest.slice = coalesce(rules.stage, '(all)')
    where latest.denominator >= case when latest.is_state then 1 else {{ enough }} end
),

judged as (
    select
        *,
        {{ is_reached("value", "direction", "limit_value") }} as is_found
    from looked_at
),

still_open as (
    select * from previous
    where left_on is null
),

-- A figure that too few stand behind neither finds anything nor clears what was found.
findings as (
    select
        previous.rule,
        previous.level,
        previous.kpi,
        previous.stage,
        previous.found_on,
        previous.due_on,
        coalesce(previous.left_on, case when not judged.is_found then {{ as_of_date() }} end)
            as left_on,
        previous.value_found,
        previous.limit_value
    from previous
    left join judged on previous.rule = judged.rule
    union all
    select
        judged.rule,
        judged.level,
        judged.kpi,
        judged.stage,
        {{ as_of_date() }} as found_on,
        judged.fix_by as due_on,
        cast(null as date) as left_on,
        judged.value as value_found,
        judged.limit_value
    from judged
    left join still_open on judged.rule = still_open.rule
    where judged.is_found and still_open.rule is null
),

final as (
    select
        rule || '|' || cast(found_on as varchar) as finding_key,
        rule,
        level,
        kpi,
        stage,
        found_on,
        due_on,
        left_on,
        coalesce(left_on, {{ as_of_date() }}) > due_on as is_late,
        value_found,
        limit_value,
        {{ as_of_utc() }} as as_of
    from findings
)

select * from final
