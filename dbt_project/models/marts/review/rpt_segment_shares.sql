with

customers as (
    select * from {{ ref("dim_customers") }}
),

segments as (
    select * from {{ source("program", "segments") }}
),

counted as (
    select
        segment,
        count(*) as customers,
        sum(spend_total) as spend_total,
        sum(spend_long) as spend_long
    from customers
    group by segment
),

final as (
    select
        segments.position,
        segments.segment,
        segments.title_en,
        segments.title_zh,
        segments.condition,
        cast(coalesce(counted.customers, 0) as bigint) as customers,
        coalesce(counted.customers, 0) / cast(nullif(sum(counted.customers) over (), 0) as double)
            as actual_share,
        segments.expected_share,
        coalesce(counted.customers, 0) / cast(nullif(sum(counted.customers) over (), 0) as double)
        - segments.expected_share as gap,
        cast(coalesce(counted.spend_total, 0) as decimal(38, 4)) as spend_total,
        cast(coalesce(counted.spend_long, 0) as decimal(38, 4)) as spend_long,
        {{ as_of_date() }} as as_of_on
    from segments
    left join counted on segments.segment = counted.segment
)

select * from final
