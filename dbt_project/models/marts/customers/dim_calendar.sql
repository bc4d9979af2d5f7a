with

calendar_days as (
    select * from {{ source("program", "calendar_days") }}
),

final as (
    select
        date as day,
        weekday,
        is_workday,
        is_holiday,
        is_make_up_day,
        holiday_en,
        holiday_zh,
        festival,
        festival_en,
        festival_zh,
        cast(extract(year from date) as integer) as year,
        cast(extract(quarter from date) as integer) as quarter,
        cast(extract(month from date) as integer) as month,
        {{ period_start("week", "date") }} as week_start,
        {{ period_start("month", "date") }} as month_start,
        {{ period_start("quarter", "date") }} as quarter_start,
        cast(sum(case when is_workday then 1 else 0 end) over (
            partition by {{ period_start("month", "date") }}
            order by date
            rows between unbounded preceding and current row
        ) as integer) as workday_of_month
    from calendar_days
)

select * from final
