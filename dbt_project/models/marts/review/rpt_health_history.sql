with

previous as (
    select * from {{ source("run", "previous_health_averages") }}
),

report as (
    select * from {{ ref("rpt_health") }}
),

final as (
    select
        recorded_on,
        segment,
        component,
        customers_known,
        average_score,
        as_of
    from previous
    where as_of < {{ as_of_utc() }} and recorded_on < {{ as_of_date() }}
    union all
    select
        as_of_on as recorded_on,
        segment,
        component,
        customers_known,
        average_score,
        {{ as_of_utc() }} as as_of
    from report
)

select * from final
