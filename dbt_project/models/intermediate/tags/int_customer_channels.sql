with

responses as (
    select * from {{ ref("int_customer_responses") }}
),

scored as (
    select
        customer_id,
        channel,
        sum(responses) as responses,
        sum(score) as score,
        max(last_response_at) as last_response_at
    from responses
    group by customer_id, channel
),

final as (
    select
        customer_id,
        channel,
        cast(responses as integer) as responses,
        cast(sum(responses) over (partition by customer_id) as integer) as all_responses,
        cast(score as decimal(18, 3)) as score,
        cast(score as double) / cast(sum(score) over (partition by customer_id) as double)
            as share,
        {{ local_date("last_response_at") }} as last_response_on,
        cast(row_number() over (
            partition by customer_id
            order by
                score desc, responses desc, last_response_at desc,
                {{ channel_place("channel") }} asc
        ) as integer) as channel_rank
    from scored
)

select * from final
