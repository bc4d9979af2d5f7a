with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

scored as (
    {{ health_scores("profile") }}
),

final as (
    {%- for component in health_components() %}
    select
        customer_id,
        {{ text_literal(component["id"]) }} as component,
        {{ text_literal(component["aspect"]) }} as aspect,
        {{ text_literal(component["measure"]) }} as measure,
        round(value_{{ component["id"] }}, 4) as value,
        score_{{ component["id"] }} as score,
        weight_{{ component["id"] }} as weight,
        contribution_{{ component["id"] }} as contribution,
        score_{{ component["id"] }} is not null as is_known
    from scored
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select * from final
