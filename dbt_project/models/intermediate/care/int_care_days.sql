with

listed as (
    {{ date_series(
        as_of_date() ~ " - " ~ care_span("back"), as_of_date() ~ " + " ~ care_span("ahead")
    ) }}
),

calendar_days as (
    select * from {{ source("program", "calendar_days") }}
),

work_ends as (
    select
        date as day,
        max(closes_at) as closes_at
    from {{ source("program", "work_intervals") }}
    group by date
),

dated as (
    select
        listed.day,
        -- Beyond the calendar a week is from Monday to Friday.
        coalesce(
            calendar_days.is_workday,
            mod({{ days_between("date '1900-01-01'", "listed.day") }}, 7) < 5
        ) as is_workday,
        work_ends.closes_at
    from listed
    left join calendar_days on listed.day = calendar_days.date
    left join work_ends on listed.day = work_ends.day
),

final as (
    select
        day,
        is_workday,
        cast(sum(case when is_workday then 1 else 0 end) over (
            order by day rows between unbounded preceding and current row
        ) as integer) as workdays,
        {{ day_start_utc("day") }} as starts_at,
        {{ day_start_utc("day + 1") }} as ends_at,
        case
            when is_workday
                then {{ day_start_utc("coalesce(closes_at, day + interval '18' hour)") }}
        end as work_ends_at
    from dated
)

select * from final
