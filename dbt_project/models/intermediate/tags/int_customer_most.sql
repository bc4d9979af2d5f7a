{#-
    Only what tags of the program ask for is counted: reading order lines and interactions is
    most of the work.
-#}
{%- set bought = most_rule("category") -%}
{%- set viewed = most_rule("viewed_category") -%}
{%- set content = most_rule("content") -%}
{%- set channel = most_rule("channel") -%}

with

purchases as (
    select * from {{ ref("int_purchases") }}
),

products as (
    select * from {{ ref("int_products") }}
),

categories as (
    select distinct
        category_no,
        category
    from products
    where category_no is not null
),

interactions as (
    select * from {{ ref("stg_interactions") }}
),

channels as (
    select * from {{ ref("int_customer_channels") }}
),

counted as (
    {%- if bought %}
    select
        bought.customer_id,
        'category' as kind,
        categories.category as value,
        bought.events,
        bought.last_on
    from (
        select
            customer_id,
            category_no,
            count(*) as events,
            max(bought_on) as last_on
        from purchases
        where
            category_no is not null
            and bought_on >= {{ days_ago(bought["window_days"]) }}
        group by customer_id, category_no
    ) as bought
    inner join categories on bought.category_no = categories.category_no
    union all
    {%- endif %}
    {%- if viewed %}
    select
        interactions.customer_id,
        'viewed_category' as kind,
        products.category as value,
        count(*) as events,
        {{ local_date("max(interactions.occurred_at)") }} as last_on
    from interactions
    inner join products on interactions.product_id = products.product_id
    where
        interactions.kind in ({{ words(viewed["kinds"]) }})
        and interactions.occurred_at >= {{ days_start(viewed["window_days"]) }}
        and products.category is not null
    group by interactions.customer_id, products.category
    union all
    {%- endif %}
    {%- if content %}
    select
        customer_id,
        'content' as kind,
        {{ content_form("kind", content["id"]) }} as value,
        count(*) as events,
        {{ local_date("max(occurred_at)") }} as last_on
    from interactions
    where
        {{ content_form("kind", content["id"]) }} is not null
        and occurred_at >= {{ days_start(content["window_days"]) }}
    group by customer_id, {{ content_form("kind", content["id"]) }}
    union all
    {%- endif %}
    select
        customer_id,
        cast(null as varchar) as kind,
        cast(null as varchar) as value,
        cast(0 as bigint) as events,
        last_response_on as last_on
    from channels
    where false
),

favourites as (
    select
        customer_id,
        kind,
        sum(events) as all_events,
        {{ last_row({"events": "events", "last_on": "last_on", "value": "value"}) }} as favourite
    from counted
    group by customer_id, kind
),

final as (
    select
        customer_id,
        kind,
        {{ field_of("favourite", "value") }} as value,
        cast({{ field_of("favourite", "events") }} as integer) as events,
        cast(all_events as integer) as all_events,
        {{ field_of("favourite", "events") }} / cast(all_events as double) as share,
        {{ field_of("favourite", "last_on") }} as last_on
    from favourites
    {%- if channel %}
    union all
    select
        customer_id,
        'channel' as kind,
        channel as value,
        responses as events,
        all_responses as all_events,
        share,
        last_response_on as last_on
    from channels
    where channel_rank = 1
    {%- endif %}
)

select * from final
