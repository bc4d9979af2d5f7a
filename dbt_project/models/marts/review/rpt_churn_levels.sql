with

churn as (
    select * from {{ ref("int_customer_churn") }}
),

segments as (
    select * from {{ ref("int_customer_segments") }}
),

final as (
    select
        segments.segment,
        coalesce(churn.churn_level, 'none') as churn_level,
        count(*) as customers,
        count(*) / cast(sum(count(*)) over (partition by segments.segment) as double)
            as share_of_segment,
        count(*) filter (where churn.churn_level_since > {{ as_of_date() }} - 30)
            as since_30_days
    from churn
    inner join segments on churn.customer_id = segments.customer_id
    group by segments.segment, coalesce(churn.churn_level, 'none')
)

select * from final
