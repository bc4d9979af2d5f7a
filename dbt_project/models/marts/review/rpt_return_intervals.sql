{%- set measure = setting_text("activity.dormant_measure") -%}
{%- set moments = {
    "int_orders": "ordered_at",
    "stg_interactions": "occurred_at",
    "stg_tickets": "opened_at",
} -%}
{#- While dbt only looks for references the setting is unknown, and all of them are named. -#}
{%- set counted = {
    "days_since_last_order": ["int_orders"],
    "days_since_last_interaction": ["stg_interactions"],
}.get(measure, moments) -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

sampled as (
    select customer_id
    from profile
    -- The same customers on every run and machine.
    order by md5(customer_id), customer_id
    limit {{ setting("calibration.max_sampled_customers", "integer") }}
),

happened as (
    {%- for model in counted %}
    select
        customer_id,
        {{ moments[model] }} as happened_at
    from {{ ref(model) }}
    {%- if model == "int_orders" %}
    where is_counted
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

days as (
    select distinct
        happened.customer_id,
        {{ local_date("happened.happened_at") }} as happened_on
    from happened
    inner join sampled on happened.customer_id = sampled.customer_id
),

intervals as (
    select
        {{ period_start("month", "happened_on") }} as month_start,
        {{ days_between(
            "happened_on",
            "lead(happened_on) over (partition by customer_id order by happened_on)"
        ) }} as interval_days
    from days
),

visits as (
    select
        month_start,
        count(*) as visits
    from intervals
    group by month_start
),

returned as (
    select
        month_start,
        interval_days,
        count(*) as returns
    from intervals
    where interval_days is not null
    group by month_start, interval_days
),

final as (
    select
        '{{ measure }}' as measure,
        returned.month_start,
        cast(returned.interval_days as integer) as interval_days,
        returned.returns,
        visits.visits
    from returned
    inner join visits on returned.month_start = visits.month_start
)

select * from final
