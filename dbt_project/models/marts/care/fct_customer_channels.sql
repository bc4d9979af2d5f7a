with

channels as (
    select * from {{ ref("int_customer_channels") }}
),

final as (
    select
        customer_id,
        channel,
        responses,
        score,
        share,
        last_response_on,
        channel_rank
    from channels
)

select * from final
