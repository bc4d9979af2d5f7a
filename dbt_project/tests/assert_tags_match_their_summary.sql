-- A customer has a tag once: the tags given are as many as the summary of each customer counts,
-- and the summary has one row per customer. (Grouping the tags themselves would take longer than
-- making them.)
with

given as (
    select count(*) as tags from {{ ref("fct_customer_tags") }}
),

counted as (
    select
        count(*) as customers,
        coalesce(sum(tag_count), 0) as tags
    from {{ ref("int_customer_tag_summary") }}
),

profiles as (
    select count(*) as customers from {{ ref("int_customer_profile") }}
)

select
    given.tags as tags_given,
    counted.tags as tags_counted,
    counted.customers as customers_counted,
    profiles.customers
from given
cross join counted
cross join profiles
where given.tags <> counted.tags or counted.customers <> profiles.customers
