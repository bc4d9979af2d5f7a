{{ config(materialized="view") }}

with

-- Only the events of clocks that stood still have to be sorted.
halting as (
    select
        case_kind,
        case_id,
        clock,
        cycle,
        target_seconds,
        started_at,
        stopped_at,
        breached_at,
        elapsed_seconds
    from {{ ref("int_clocks") }}
    where pauses > 0
),

halts as (
    select
        pauses.*,
        coalesce(pauses.until_at < halting.stopped_at, pauses.until_at is not null)
        and not pauses.is_followed as resumes
    from {{ ref("int_clock_pauses") }} as pauses
    inner join halting
        on
            pauses.case_id = halting.case_id
            and pauses.clock = halting.clock
            and pauses.cycle = halting.cycle
            and pauses.case_kind = halting.case_kind
),

happened as (
    select
        case_kind,
        case_id,
        clock,
        cycle,
        1 as place,
        started_at as happened_at,
        'activate' as event,
        cast(0 as bigint) as elapsed_seconds
    from halting
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        2 as place,
        until_at as happened_at,
        'activate' as event,
        elapsed_seconds
    from halts
    where resumes
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        3 as place,
        from_at as happened_at,
        case when is_done then 'fulfil' else 'pause' end as event,
        elapsed_seconds
    from halts
    where not goes_on
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        4 as place,
        breached_at as happened_at,
        'breach' as event,
        target_seconds as elapsed_seconds
    from halting
    where breached_at is not null
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        5 as place,
        stopped_at as happened_at,
        'fulfil' as event,
        elapsed_seconds
    from halting
    where stopped_at is not null
),

final as (
    select
        case_kind,
        case_id,
        clock,
        cycle,
        1 as event_no,
        started_at as happened_at,
        'activate' as event,
        cast(0 as bigint) as elapsed_seconds
    from {{ ref("int_clocks") }}
    where pauses = 0
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        2 as event_no,
        breached_at as happened_at,
        'breach' as event,
        target_seconds as elapsed_seconds
    from {{ ref("int_clocks") }}
    where pauses = 0 and breached_at is not null
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        case when breached_at is null then 2 else 3 end as event_no,
        stopped_at as happened_at,
        'fulfil' as event,
        elapsed_seconds
    from {{ ref("int_clocks") }}
    where pauses = 0 and stopped_at is not null
    union all
    select
        case_kind,
        case_id,
        clock,
        cycle,
        cast(row_number() over (
            partition by case_id, clock, cycle order by happened_at, place
        ) as integer) as event_no,
        happened_at,
        event,
        elapsed_seconds
    from happened
)

select * from final
