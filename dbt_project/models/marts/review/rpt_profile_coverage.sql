{%- set attributes = [
    "customer_type", "region", "industry", "sex", "locale", "source_channel", "service_package",
    "member_tier", "account_manager_id", "has_consent_marketing", "registered_on",
    "first_order_on", "last_interaction_on", "last_satisfaction", "nps_last",
] -%}

with

customers as (
    select * from {{ ref("dim_customers") }}
),

counted as (
    select
        {%- for attribute in attributes %}
        count({{ attribute }}) as {{ attribute }},
        {%- endfor %}
        count(*) as customers
    from customers
),

final as (
    {%- for attribute in attributes %}
    select
        '{{ attribute }}' as attribute,
        customers,
        {{ attribute }} as known,
        {{ attribute }} / cast(nullif(customers, 0) as double) as coverage
    from counted
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
