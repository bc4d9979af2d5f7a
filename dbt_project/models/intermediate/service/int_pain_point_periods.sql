{%- set just_after = as_of_utc() ~ " + interval '1' microsecond" -%}
{%- set periods = pain_point_periods() -%}
{%- set sources = {
    "stg_orders": "ordered_at",
    "stg_interactions": "occurred_at",
    "stg_tickets": "opened_at",
    "stg_surveys": "answered_at",
} -%}

with
{% for model, moment in sources.items() %}
{{ model }}_seen as (
    select
        {%- for period in periods %}
        bool_or({{ in_period(moment, period) }}) as in_{{ loop.index }},
        {%- endfor %}
        customer_id
    from {{ ref(model) }}
    where
        customer_id is not null
        and {{ moment }} >= least(
            {{ day_start_utc(periods[1]["first_day"]) }},
            {{ day_start_utc(periods[-1]["first_day"]) }}
        )
    group by customer_id
),
{% endfor %}
seen as (
    {%- for model in sources %}
    select * from {{ model }}_seen
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

customers as (
    select
        {%- for period in periods %}
        bool_or(in_{{ loop.index }}) as in_{{ loop.index }},
        {%- endfor %}
        customer_id
    from seen
    group by customer_id
),

final as (
    {%- for period in periods %}
    select
        {{ text_literal(period["kind"]) }} as period_type,
        {{ period["number"] }} as period_no,
        cast({{ period["first_day"] }} as date) as period_start,
        {{ day_start_utc(period["first_day"]) }} as starts_at,
        cast({{ period["end_day"] or as_of_date() }} as date) as period_end,
        {{ day_start_utc(period["end_day"]) if period["end_day"] else just_after }} as ends_at,
        {{ "false" if period["kind"] == "quarter" and not period["end_day"] else "true" }}
            as is_over,
        {{ period["is_shown"] | string | lower }} as is_shown,
        count(*) filter (where in_{{ loop.index }}) as customers_active
    from customers
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
