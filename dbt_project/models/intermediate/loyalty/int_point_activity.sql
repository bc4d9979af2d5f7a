{{ config(materialized="view") }}

{%- set is_computed = points_ledger() == "computed" -%}
{%- set earned = {} -%}
{%- for earning in point_earnings() if is_computed -%}
    {%- do earned.update({earning["reason"]: earning}) -%}
{%- endfor -%}
{%- set most_purchases = earned["purchase"]["most_per_day"] if "purchase" in earned -%}

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
    where
        {{ "is_counted and amount_program > 0" if "purchase" in earned else "false" }}
    {%- if most_purchases %}
    qualify row_number() over (
        partition by customer_id, {{ local_date("coalesce(paid_at, ordered_at)") }}
        order by coalesce(paid_at, ordered_at), order_id
    ) <= {{ most_purchases }}
    {%- endif %}
),

-- What earns as a check-in does not earn once more as an interaction.
visits as (
    select
        customer_id,
        occurred_at as happened_at,
        {% if "check_in" in earned and "interaction" in earned -%}
            case when kind = 'check_in' then 'check_in' else 'interaction' end
        {%- else -%}
            {{ "'check_in'" if "check_in" in earned else "'interaction'" }}
        {%- endif %} as reason,
        cast(null as decimal(18, 4)) as amount
    from interactions
    where
        {% if "interaction" in earned -%}
            true
        {%- elif "check_in" in earned -%}
            kind = 'check_in'
        {%- else -%}
            false
        {%- endif %}
),

-- The aspects of a questionnaire are answered at one moment and count once.
answers as (
    select distinct
        customer_id,
        answered_at as happened_at,
        'survey' as reason,
        cast(null as decimal(18, 4)) as amount
    from surveys
    where {{
        "customer_id is not null and answered_at is not null and score is not null"
        if "survey" in earned else "false"
    }}
),

converted as (
    select
        referrer_id as customer_id,
        converted_at as happened_at,
        'referral' as reason,
        cast(null as decimal(18, 4)) as amount
    from referrals
    where
        {{ "converted_at is not null" if "referral" in earned else "false" }}
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
