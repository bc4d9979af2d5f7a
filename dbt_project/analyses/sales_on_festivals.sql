-- Which festivals and business dates bring sales? Against the average day of the same year.
with

daily as (
    select
        ordered_on as day,
        sum(amount_program) as sales
    from fct_orders
    where is_counted
    group by ordered_on
),

yearly as (
    select
        calendar.year,
        sum(daily.sales) / count(*) as average_sales
    from dim_calendar as calendar
    left join daily on calendar.day = daily.day
    where calendar.day <= (select max(run.as_of_on) from rpt_run as run)
    group by calendar.year
)

select
    calendar.day,
    calendar.festival_en,
    calendar.festival_zh,
    coalesce(daily.sales, 0) as sales,
    round(coalesce(daily.sales, 0) / nullif(yearly.average_sales, 0), 2) as times_average_day
from dim_calendar as calendar
inner join yearly on calendar.year = yearly.year
left join daily on calendar.day = daily.day
where
    calendar.festival is not null
    and calendar.day <= (select max(run.as_of_on) from rpt_run as run)
order by calendar.day desc;
