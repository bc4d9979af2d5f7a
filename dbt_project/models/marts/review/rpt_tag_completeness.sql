with

summary as (
    select * from {{ ref("int_customer_tag_summary") }}
),

tags as (
    select * from {{ source("program", "tags") }}
),

given as (
    select
        tag,
        count(*) as tagged,
        min(evaluated_on) as oldest_evaluation_on
    from {{ ref("fct_customer_tags") }}
    group by tag
),

-- Customers lack the same few combinations of tags, so tags are compared with those.
lacking as (
    select
        customer_type,
        ' ' || coalesce(missing_tags, '') as missing_tags,
        count(*) as customers
    from summary
    group by customer_type, missing_tags
),

counted as (
    select
        tags.id as tag,
        sum(lacking.customers) as customers,
        sum(case
            when position(' ' || tags.id || ' ' in lacking.missing_tags) = 0
                then lacking.customers
            else 0
        end) as filled
    from tags
    inner join lacking
        on
            tags.applies_to is null
            or lacking.customer_type is null
            or tags.applies_to = lacking.customer_type
    group by tags.id
),

per_tag as (
    select
        tags.id as tag,
        tags.title_en,
        tags.title_zh,
        tags.kind,
        coalesce(counted.customers, 0) as customers,
        coalesce(counted.filled, 0) as filled,
        coalesce(given.tagged, 0) as tagged,
        given.oldest_evaluation_on,
        tags.refresh_days
    from tags
    left join counted on tags.id = counted.tag
    left join given on tags.id = given.tag
),

lines as (
    select
        *,
        coalesce({{ days_since("oldest_evaluation_on") }} <= refresh_days, true) as is_fresh
    from per_tag
    union all
    select
        'overall' as tag,
        'All tags' as title_en,
        '全部标签' as title_zh,
        cast(null as varchar) as kind,
        sum(customers) as customers,
        sum(filled) as filled,
        sum(tagged) as tagged,
        min(oldest_evaluation_on) as oldest_evaluation_on,
        min(refresh_days) as refresh_days,
        min(case
            when {{ days_since("oldest_evaluation_on") }} > refresh_days then 0 else 1
        end) = 1 as is_fresh
    from per_tag
),

final as (
    select
        tag,
        title_en,
        title_zh,
        kind,
        cast(customers as bigint) as customers,
        cast(filled as bigint) as filled,
        cast(tagged as bigint) as tagged,
        filled / cast(nullif(customers, 0) as double) as completeness,
        {{ setting("tags.completeness_target", "double") }} as target,
        filled / cast(nullif(customers, 0) as double)
        >= {{ setting("tags.completeness_target", "double") }} as is_met,
        oldest_evaluation_on,
        cast(refresh_days as integer) as refresh_days,
        is_fresh
    from lines
)

select * from final
