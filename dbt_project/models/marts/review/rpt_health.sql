with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

health as (
    select * from {{ ref("int_customer_health") }}
),

segments as (
    select * from {{ ref("int_customer_segments") }}
),

scored as (
    {{ health_scores("profile") }}
),

counted as (
    select
        coalesce(segments.segment, '(all)') as segment,
        count(*) as customers,
        {%- for component in health_components() %}
        count(scored.score_{{ component["id"] }}) as known_{{ component["id"] }},
        sum(scored.score_{{ component["id"] }}) as sum_{{ component["id"] }},
        max(scored.weight_{{ component["id"] }}) as weight_{{ component["id"] }},
        {%- endfor %}
        count(*) filter (where health.health_band = 'red') as red,
        count(*) filter (where health.health_band = 'yellow') as yellow,
        count(*) filter (where health.health_band = 'green') as green,
        count(health.health_score) as known,
        sum(health.health_score) as score_sum
    from scored
    inner join health on scored.customer_id = health.customer_id
    inner join segments on scored.customer_id = segments.customer_id
    group by rollup(segments.segment)
),

final as (
    select
        segment,
        '(total)' as component,
        cast(null as varchar) as aspect,
        'Health' as title_en,
        '健康度' as title_zh,
        cast(null as double) as weight,
        customers,
        known as customers_known,
        cast(score_sum / cast(nullif(known, 0) as double) as decimal(4, 1)) as average_score,
        {%- for band in ["red", "yellow", "green"] %}
        {{ band }} / cast(nullif(known, 0) as double) as {{ band }}_share,
        {%- endfor %}
        {{ as_of_date() }} as as_of_on
    from counted
    {%- for component in health_components() %}
    union all
    select
        segment,
        {{ text_literal(component["id"]) }} as component,
        {{ text_literal(component["aspect"]) }} as aspect,
        {{ text_literal(component["title_en"]) }} as title_en,
        {{ text_literal(component["title_zh"]) }} as title_zh,
        weight_{{ component["id"] }} as weight,
        customers,
        known_{{ component["id"] }} as customers_known,
        cast(
            sum_{{ component["id"] }}
            / cast(nullif(known_{{ component["id"] }}, 0) as double) as decimal(4, 1)
        ) as average_score,
        cast(null as double) as red_share,
        cast(null as double) as yellow_share,
        cast(null as double) as green_share,
        {{ as_of_date() }} as as_of_on
    from counted
    {%- endfor %}
)

select * from final
