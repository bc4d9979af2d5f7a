with

targets as (
    select
        target_key,
        stops,
        pauses,
        clock_type = 'business' as is_business,
        target_seconds,
        case when target_unit = 'wd' then target_amount end as target_days,
        warn_at
    from {{ ref("int_sla_targets") }}
    where starts in ('ticket_opened', 'handed_over')
),

cases as (
    select
        cases.case_kind,
        cases.case_id,
        cases.clock,
        cases.cycle,
        cases.started_at,
        cases.stopped_at,
        targets.stops,
        targets.pauses,
        targets.is_business,
        targets.target_seconds,
        targets.target_days,
        targets.warn_at
    from {{ ref("int_clock_cases") }} as cases
    inner join targets on cases.target_key = targets.target_key
    where
        cases.case_kind = 'ticket'
        and (targets.pauses is not null or targets.stops in ('solved', 'closed'))
),

halts as (
    select
        *,
        '|' || status || '|' as barred_status
    from {{ ref("int_ticket_statuses") }}
    where status <> 'open'
),

-- A solution that was taken back is a pause, too.
halted as (
    select
        cases.case_kind,
        cases.case_id,
        cases.clock,
        cases.cycle,
        cases.is_business,
        cases.target_seconds,
        cases.target_days,
        cases.warn_at,
        cases.started_at,
        greatest(halts.from_at, cases.started_at) as from_at,
        least(halts.until_at, cases.stopped_at) as until_at,
        halts.status = 'closed' or (halts.status = 'solved' and cases.stops <> 'closed')
            as is_done
    from cases
    inner join halts on cases.case_id = halts.ticket_id
    where
        coalesce(cases.started_at < cases.stopped_at, true)
        and halts.from_at < coalesce(cases.stopped_at, {{ as_of_utc() }} + interval '1' second)
        and coalesce(halts.until_at > cases.started_at, true)
        and (
            coalesce(position(halts.barred_status in cases.pauses) > 0, false)
            or halts.status = 'closed'
            or (halts.status = 'solved' and cases.stops <> 'closed')
        )
),

measured as (
    select
        *,
        {{ epoch_second("started_at") }} as started_second,
        {{ epoch_second("from_at") }} as from_second,
        {{ epoch_second("coalesce(until_at, " ~ as_of_utc() ~ ")") }} as until_second
    from halted
),

-- Only business clocks look at the working time.
placed as (
    select
        *,
        case when is_business then started_second end as started_work,
        case when is_business then from_second end as from_work,
        case when is_business then until_second end as until_work,
        case when target_days is not null then {{ local_date("started_at") }} end as started_on
    from measured
),

counted as (
    select
        placed.*,
        case
            when placed.is_business
                then
                    {{ worked_at("begun", "placed.from_work") }}
                    - {{ worked_at("started", "placed.started_work") }}
            else placed.from_second - placed.started_second
        end as passed_seconds,
        case
            when placed.is_business
                then
                    {{ worked_at("ended", "placed.until_work") }}
                    - {{ worked_at("begun", "placed.from_work") }}
            else placed.until_second - placed.from_second
        end as paused_seconds,
        coalesce(
            placed.target_seconds,
            due_days.worked_until - {{ worked_at("started", "placed.started_work") }}
        ) as limit_seconds
    from placed
    left join {{ ref("int_service_hours") }} as started
        on {{ in_service_hour("started", "placed.started_work") }}
    left join {{ ref("int_service_hours") }} as begun
        on {{ in_service_hour("begun", "placed.from_work") }}
    left join {{ ref("int_service_hours") }} as ended
        on {{ in_service_hour("ended", "placed.until_work") }}
    left join {{ ref("int_service_days") }} as start_days on placed.started_on = start_days.date
    left join {{ ref("int_service_days") }} as due_days
        on
            start_days.work_days + placed.target_days = due_days.work_days
            and due_days.worked_until is not null
),

ordered as (
    select
        *,
        sum(paused_seconds) over earlier as paused_before,
        lag(until_at) over in_order as previous_until,
        lag(is_done) over in_order as previous_is_done,
        lead(from_at) over in_order as next_from
    from counted
    window
        in_order as (partition by case_id, clock, cycle order by from_at),
        earlier as (
            partition by case_id, clock, cycle
            order by from_at rows between unbounded preceding and 1 preceding
        )
),

final as (
    select
        case_kind,
        case_id,
        clock,
        cycle,
        from_at,
        until_at,
        is_done,
        coalesce(previous_until = from_at and previous_is_done = is_done, false) as goes_on,
        coalesce(next_from = until_at, false) as is_followed,
        passed_seconds - coalesce(cast(paused_before as bigint), 0) as elapsed_seconds,
        paused_seconds,
        limit_seconds as target_seconds,
        {{ warned_after("warn_at", "limit_seconds") }} as warn_seconds
    from ordered
)

select * from final
