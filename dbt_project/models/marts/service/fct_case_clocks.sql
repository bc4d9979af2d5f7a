with

clocks as (
    select * from {{ ref("int_clocks") }}
    where case_kind <> 'ticket'
),

cases as (
    select * from {{ ref("int_case_clock_cases") }}
),

targets as (
    select * from {{ ref("int_sla_targets") }}
),

final as (
    select
        clocks.case_kind,
        clocks.case_id,
        clocks.clock,
        targets.title_en as clock_en,
        targets.title_zh as clock_zh,
        clocks.cycle,
        cases.customer_id,
        cases.department,
        cases.owner_id,
        clocks.target_key,
        clocks.clock_type,
        clocks.target,
        clocks.target_seconds,
        targets.target_share,
        clocks.started_at,
        clocks.stopped_at,
        clocks.elapsed_seconds,
        clocks.paused_seconds,
        clocks.warn_on_at,
        clocks.due_at,
        clocks.breached_at,
        clocks.late_seconds,
        clocks.state,
        clocks.is_open
    from clocks
    inner join targets on clocks.target_key = targets.target_key
    inner join cases
        on
            clocks.case_kind = cases.case_kind
            and clocks.case_id = cases.case_id
            and clocks.clock = cases.clock
)

select * from final
