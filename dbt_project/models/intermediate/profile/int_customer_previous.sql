with

changes as (
    select * from {{ source("run", "previous_customer_changes") }}
),

latest as (
    select
        customer_id,
        -- Who has left has no value; the empty text keeps that change the latest one.
        {{ latest("case when dimension = 'segment' then coalesce(to_value, '') end", "as_of") }}
            as segment,
        max(changed_on) filter (where dimension = 'segment') as segment_since,
        {{ latest("case when dimension = 'stage' then coalesce(to_value, '') end", "as_of") }}
            as stage,
        max(changed_on) filter (where dimension = 'stage') as stage_since,
        {{ latest("case when dimension = 'tier' then coalesce(to_value, '') end", "as_of") }}
            as tier,
        {{ latest(
            "case when dimension = 'churn_level' then coalesce(to_value, '') end", "as_of"
        ) }} as churn_level
    from changes
    where as_of < {{ as_of_utc() }}
    group by customer_id
),

final as (
    select
        customer_id,
        nullif(segment, '') as segment,
        segment_since,
        nullif(stage, '') as stage,
        stage_since,
        nullif(tier, '') as tier,
        nullif(churn_level, '') as churn_level
    from latest
)

select * from final
