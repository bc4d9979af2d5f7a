with

intervals as (
    select
        {{ utc_time("opens_at") }} as opens_at,
        {{ utc_time("closes_at") }} as closes_at
    from {{ source("program", "work_intervals") }}
),

measured as (
    select
        opens_at,
        closes_at,
        {{ epoch_second("closes_at") }} - {{ epoch_second("opens_at") }} as seconds
    from intervals
    -- An hour that daylight saving skips has no time in it.
    where closes_at > opens_at
),

summed as (
    select
        *,
        cast(sum(seconds) over (
            order by opens_at rows between unbounded preceding and current row
        ) as bigint) as worked_after
    from measured
),

final as (
    select
        opens_at,
        closes_at,
        worked_after - seconds as worked_before,
        worked_after
    from summed
)

select * from final
