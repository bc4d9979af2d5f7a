with

work_ends as (
    select
        date,
        {{ epoch_second(utc_time("max(closes_at)")) }} as closes_second
    from {{ source("program", "work_intervals") }}
    group by date
),

final as (
    select
        days.date,
        count(work_ends.date) over (
            order by days.date rows between unbounded preceding and current row
        ) as work_days,
        {{ worked_at("hours", "work_ends.closes_second") }} as worked_until
    from {{ source("program", "calendar_days") }} as days
    left join work_ends on days.date = work_ends.date
    left join {{ ref("int_service_hours") }} as hours
        on {{ in_service_hour("hours", "work_ends.closes_second") }}
)

select * from final
