with

referrals as (
    select * from {{ ref("stg_referrals") }}
),

orders as (
    select * from {{ ref("int_orders") }}
),

steps as (
    select * from {{ source("program", "referral_steps") }}
),

converted as (
    select
        referral_id,
        referrer_id,
        referred_id,
        converted_at,
        row_number() over (partition by referrer_id order by converted_at, referral_id) as nth
    from referrals
    where
        converted_at is not null
        and referrer_id is distinct from referred_id
        and exists (select 1 from steps)
),

referred as (
    select distinct referred_id as customer_id from converted
),

first_orders as (
    select
        orders.customer_id,
        orders.amount_program
    from orders
    inner join referred on orders.customer_id = referred.customer_id
    where orders.is_counted
    qualify row_number() over (
        partition by orders.customer_id order by orders.ordered_at, orders.order_id
    ) = 1
),

shared as (
    select
        converted.*,
        round({{ referral_share("converted.nth") }}, 6) as reward_share,
        first_orders.amount_program as base_amount
    from converted
    left join first_orders on converted.referred_id = first_orders.customer_id
),

final as (
    select
        referral_id,
        referrer_id,
        referred_id,
        converted_at,
        {{ local_date("converted_at") }} as converted_on,
        cast(nth as integer) as nth,
        cast(reward_share as double) as reward_share,
        cast(base_amount as decimal(18, 4)) as base_amount,
        cast(round(cast(base_amount as double) * reward_share, 2) as decimal(18, 2))
            as reward_amount
    from shared
)

select * from final
