with

targets as (
    select
        target_key,
        clock_type,
        clock_type = 'business' as is_business,
        target,
        target_seconds,
        case when target_unit = 'wd' then target_amount end as target_days,
        warn_at,
        {{ warned_after("warn_at", "target_seconds") }} as warn_seconds
    from {{ ref("int_sla_targets") }}
),

-- A pause moves a limit on if it began before the limit was used up.
paused as (
    select
        case_kind,
        case_id,
        clock,
        cycle,
        count(*) as pauses,
        cast(sum(paused_seconds) as bigint) as paused_seconds,
        cast(sum(
            case when elapsed_seconds < warn_seconds then paused_seconds else 0 end
        ) as bigint) as before_warning,
        cast(sum(
            case when elapsed_seconds < target_seconds then paused_seconds else 0 end
        ) as bigint) as before_target,
        cast(sum(
            case when elapsed_seconds <= target_seconds then paused_seconds else 0 end
        ) as bigint) as before_breach,
        max(case when until_at is null then 1 else 0 end) as is_paused
    from {{ ref("int_clock_pauses") }}
    group by case_kind, case_id, clock, cycle
),

cases as (
    select
        cases.case_kind,
        cases.case_id,
        cases.clock,
        cases.cycle,
        cases.target_key,
        cases.started_at,
        cases.stopped_at,
        cases.ended_at,
        targets.clock_type,
        targets.is_business,
        targets.target,
        targets.target_seconds,
        targets.target_days,
        targets.warn_at,
        targets.warn_seconds,
        {{ epoch_second("cases.started_at") }} as started_second,
        {{ epoch_second("coalesce(cases.stopped_at, cases.ended_at, " ~ as_of_utc() ~ ")") }}
            as ended_second
    from {{ ref("int_clock_cases") }} as cases
    inner join targets on cases.target_key = targets.target_key
),

-- Only business clocks look at the working time.
moments as (
    select
        *,
        case when is_business then started_second end as started_work,
        case when is_business then ended_second end as ended_work,
        case when target_days is not null then {{ local_date("started_at") }} end as started_on
    from cases
),

counted as (
    select
        moments.*,
        case
            when moments.is_business then {{ worked_at("started", "moments.started_work") }}
            else moments.started_second
        end as started_count,
        case
            when moments.is_business then {{ worked_at("ended", "moments.ended_work") }}
            else moments.ended_second
        end as ended_count,
        due_days.worked_until as due_count
    from moments
    left join {{ ref("int_service_hours") }} as started
        on {{ in_service_hour("started", "moments.started_work") }}
    left join {{ ref("int_service_hours") }} as ended
        on {{ in_service_hour("ended", "moments.ended_work") }}
    left join {{ ref("int_service_days") }} as start_days on moments.started_on = start_days.date
    left join {{ ref("int_service_days") }} as due_days
        on
            start_days.work_days + moments.target_days = due_days.work_days
            and due_days.worked_until is not null
),

limited as (
    select
        counted.*,
        coalesce(paused.pauses, 0) as pauses,
        coalesce(paused.paused_seconds, 0) as paused_seconds,
        coalesce(paused.before_warning, 0) as before_warning,
        coalesce(paused.before_target, 0) as before_target,
        coalesce(paused.before_breach, 0) as before_breach,
        coalesce(paused.is_paused, 0) = 1 as is_paused,
        coalesce(counted.target_seconds, counted.due_count - counted.started_count)
            as limit_seconds,
        counted.ended_count - counted.started_count - coalesce(paused.paused_seconds, 0)
            as elapsed_seconds
    from counted
    left join paused
        on
            counted.case_id = paused.case_id
            and counted.clock = paused.clock
            and counted.cycle = paused.cycle
            and counted.case_kind = paused.case_kind
),

judged as (
    select
        *,
        started_count
        + coalesce(warn_seconds, {{ warned_after("warn_at", "limit_seconds") }})
        + before_warning as warn_count,
        started_count + limit_seconds + before_target as target_count,
        case
            when elapsed_seconds > limit_seconds
                then started_count + limit_seconds + before_breach
        end as breach_count,
        case
            when elapsed_seconds is null or limit_seconds is null then 'unknown'
            when elapsed_seconds > limit_seconds then 'breached'
            when stopped_at is not null then 'met'
            when is_paused then 'paused'
            else 'running'
        end as state
    from limited
    where
        stopped_at is not null
        or ended_at is null
        or elapsed_seconds > limit_seconds
),

aimed as (
    select
        *,
        case when is_business and state <> 'paused' then warn_count end as warn_work,
        case when is_business and state <> 'paused' then target_count end as target_work,
        case when is_business then breach_count end as breach_work
    from judged
),

final as (
    select
        aimed.case_kind,
        aimed.case_id,
        aimed.clock,
        aimed.cycle,
        aimed.target_key,
        aimed.clock_type,
        aimed.target,
        aimed.limit_seconds as target_seconds,
        aimed.started_at,
        aimed.stopped_at,
        aimed.elapsed_seconds,
        aimed.paused_seconds,
        case
            when aimed.state = 'paused' then null
            when aimed.is_business
                then {{ second_at(first_second_of("warn_hours", "aimed.warn_work")) }}
            else {{ second_at("aimed.warn_count") }}
        end as warn_on_at,
        case
            when aimed.state = 'paused' then null
            when aimed.is_business
                then {{ second_at(first_second_of("due_hours", "aimed.target_work")) }}
            else {{ second_at("aimed.target_count") }}
        end as due_at,
        case
            when aimed.is_business
                then {{ second_at(last_second_of("breach_hours", "aimed.breach_work")) }}
            else {{ second_at("aimed.breach_count") }}
        end as breached_at,
        greatest(aimed.elapsed_seconds - aimed.limit_seconds, 0) as late_seconds,
        aimed.state,
        aimed.stopped_at is null and aimed.ended_at is null as is_open,
        aimed.pauses
    from aimed
    left join {{ ref("int_worked_hours") }} as warn_hours
        on {{ in_worked_hour("warn_hours", "aimed.warn_work") }}
    left join {{ ref("int_worked_hours") }} as due_hours
        on {{ in_worked_hour("due_hours", "aimed.target_work") }}
    left join {{ ref("int_worked_hours") }} as breach_hours
        on {{ in_worked_hour("breach_hours", "aimed.breach_work") }}
)

select * from final
