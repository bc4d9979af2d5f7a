{%- set dimensions = ["segment", "stage", "tier"] -%}

with

changes as (
    select * from {{ ref("fct_customer_changes") }}
    where dimension in ('segment', 'stage', 'tier')
),

customers as (
    select * from {{ ref("dim_customers") }}
),

-- Only these need spans; of all others what holds today has always held.
moved as (
    select customer_id
    from changes
    group by customer_id
    having min(as_of) < max(as_of)
),

-- Who has left has no value; the empty text is a value, too.
moments as (
    select
        {%- for dimension in dimensions %}
        max(case when changes.dimension = '{{ dimension }}' then coalesce(changes.to_value, '') end)
            as {{ dimension }},
        {%- endfor %}
        changes.customer_id,
        changes.as_of
    from changes
    inner join moved on changes.customer_id = moved.customer_id
    group by changes.customer_id, changes.as_of
),

numbered as (
    select
        *,
        {%- for dimension in dimensions %}
        count({{ dimension }}) over (partition by customer_id order by as_of) as {{ dimension }}_no,
        {%- endfor %}
        row_number() over (partition by customer_id order by as_of) as span_no,
        lead(as_of) over (partition by customer_id order by as_of) as valid_until
    from moments
),

held as (
    select
        {%- for dimension in dimensions %}
        nullif(max({{ dimension }}) over (partition by customer_id, {{ dimension }}_no), '')
            as {{ dimension }},
        {%- endfor %}
        customer_id,
        case when span_no > 1 then as_of end as valid_from,
        valid_until
    from numbered
),

final as (
    select
        held.customer_id,
        held.valid_from,
        held.valid_until,
        held.segment,
        held.stage,
        held.tier,
        customers.region,
        customers.account_manager_id
    from held
    left join customers on held.customer_id = customers.customer_id
    union all
    select
        customers.customer_id,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_until,
        customers.segment,
        customers.stage,
        customers.tier,
        customers.region,
        customers.account_manager_id
    from customers
    left join moved on customers.customer_id = moved.customer_id
    where moved.customer_id is null
)

select * from final
