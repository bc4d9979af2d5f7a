with

orders as (
    select * from {{ ref("int_orders") }}
),

interactions as (
    select * from {{ ref("stg_interactions") }}
),

surveys as (
    select * from {{ ref("stg_surveys") }}
),

referrals as (
    select * from {{ ref("stg_referrals") }}
),

purchases as (
    select
        customer_id,
        coalesce(paid_at, ordered_at) as happened_at,
        'purchase' as reason,
        amount_program as amount
    from orders
    where {{ earns_points("purchase") }} and is_counted and amount_program > 0
    {{ capped_purchases("customer_id", "coalesce(paid_at, ordered_at)", "order_id") }}
),

-- What earns as a check-in does not earn once more as an interaction.
visits as (
    select
        customer_id,
        occurred_at as happened_at,
        case
            when kind = 'check_in' and {{ earns_points("check_in") }} then 'check_in'
            else 'interaction'
        end as reason,
        cast(null as decimal(18, 4)) as amount
    from interactions
    where
        {{ earns_points("interaction") }}
        or (kind = 'check_in' and {{ earns_points("check_in") }})
),

-- The aspects of a questionnaire are answered at one moment and count once.
answers as (
    select distinct
        customer_id,
        answered_at as happened_at,
        'survey' as reason,
        cast(null as decimal(18, 4)) as amount
    from surveys
    where
        {{ earns_points("survey") }}
        and customer_id is not null
        and answered_at is not null
        and score is not null
),

converted as (
    select
        referrer_id as customer_id,
        converted_at as happened_at,
        'referral' as reason,
        cast(null as decimal(18, 4)) as amount
    from referrals
    where
        {{ earns_points("referral") }}
        and converted_at is not null
        and referrer_id is distinct from referred_id
),

happened as (
    select * from purchases
    union all
    select * from visits
    union all
    select * from answers
    union all
    select * from converted
),

final as (
    select
        customer_id,
        {{ local_date("happened_at") }} as entered_on,
        reason,
        sum(amount) as amount,
        count(*) as times,
        max(happened_at) as entered_at
    from happened
    where customer_id is not null
    group by customer_id, {{ local_date("happened_at") }}, reason
)

select * from final
