with

clocks as (
    select * from {{ ref("int_clocks") }}
    where case_kind = 'ticket'
),

-- Of the solutions of a ticket the last that counts is shown.
later as (
    select
        case_id,
        clock,
        max(cycle) as cycle
    from {{ ref("int_clocks") }}
    where case_kind = 'ticket' and cycle > 1
    group by case_id, clock
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

customers as (
    select * from {{ ref("int_ticket_customers") }}
),

targets as (
    select * from {{ ref("int_sla_targets") }}
),

final as (
    select
        clocks.case_id as ticket_id,
        clocks.clock,
        targets.title_en as clock_en,
        targets.title_zh as clock_zh,
        clocks.cycle,
        tickets.customer_id,
        tickets.opened_at,
        tickets.kind,
        tickets.urgency,
        tickets.touchpoint,
        tickets.channel,
        customers.segment,
        customers.stage,
        customers.tier,
        tickets.department,
        tickets.owner_id,
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
    inner join tickets on clocks.case_id = tickets.ticket_id
    inner join customers on clocks.case_id = customers.ticket_id
    left join later on clocks.case_id = later.case_id and clocks.clock = later.clock
    where coalesce(clocks.cycle = later.cycle, true)
)

select * from final
