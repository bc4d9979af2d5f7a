{#-
    The program's parts of the health score, in its order: id, aspect, title_en, title_zh,
    measure, condition_sql (none where the measure alone decides), and worst, best and weight as
    SQL literals.
-#}
{% macro health_components() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {%- set query -%}
        select
            id,
            aspect,
            title_en,
            title_zh,
            measure,
            condition_sql,
            'cast(' || worst || ' as double)' as worst,
            'cast(' || best || ' as double)' as best,
            'cast(' || weight || ' as double)' as weight
        from program.health_components
        order by position
    {%- endset -%}
    {{- return(program_rows(query)) -}}
{%- endmacro %}

{#-
    A query of one row per customer of a relation with the measures: weight_, value_, score_ and
    contribution_ of each component, health_known_share, health_score and health_weakest.

    A component scores 0 at worst and 100 at best, in a straight line between, and not beyond.
    Contributions are w·s/Σw over the known components; their sum, rounded to 0.1, is the score.
    Below the known share that the program asks for, score and contributions are unknown. The
    weakest component is the one that costs most points, the first of equal ones.
-#}
{% macro health_scores(relation) -%}
    {%- set components = health_components() -%}
    {%- set weights = components | map(attribute="weight") | join(" + ") -%}
    {%- set costs = [] -%}
    {%- for c in components -%}{%- do costs.append("cost_" ~ c["id"]) -%}{%- endfor %}
    select
        *,
        {%- if components %}
        case when is_known_enough then cast(round(
            {%- for c in components %}
            coalesce(contribution_{{ c["id"] }}, 0)
            {{- " +" if not loop.last }}
            {%- endfor %},
            1
        ) as decimal(4, 1)) end as health_score,
        case
            when not is_known_enough or greatest(0, {{ costs | join(", ") }}) = 0 then null
            {%- for c in components %}
            when cost_{{ c["id"] }} = greatest(0, {{ costs | join(", ") }})
                then {{ text_literal(c["id"]) }}
            {%- endfor %}
        end as health_weakest
        {%- else %}
        cast(null as decimal(4, 1)) as health_score,
        cast(null as varchar) as health_weakest
        {%- endif %}
    from (
        select
            *
            {%- for c in components %},
            case when is_known_enough then cast(
                weight_{{ c["id"] }} * score_{{ c["id"] }} / known_weight as decimal(7, 4)
            ) end as contribution_{{ c["id"] }},
            cast(
                weight_{{ c["id"] }} * (100 - score_{{ c["id"] }}) / known_weight as decimal(7, 4)
            ) as cost_{{ c["id"] }}
            {%- endfor %}
        from (
            select
                *,
                round(known_weight / ({{ weights or 1 }}), 4) as health_known_share,
                known_weight > 0 and round(known_weight / ({{ weights or 1 }}), 4)
                >= {{ setting("health.min_known_weight", "double") }} as is_known_enough
            from (
                select
                    *,
                    cast(0 as double)
                    {%- for c in components %}
                    + case when score_{{ c["id"] }} is null then 0 else weight_{{ c["id"] }} end
                    {%- endfor %} as known_weight
                from (
                    select
                        *
                        {%- for c in components %},
                        case when value_{{ c["id"] }} is not null then cast(100 * least(1, greatest(
                            0,
                            (value_{{ c["id"] }} - {{ c["worst"] }})
                            / ({{ c["best"] }} - {{ c["worst"] }})
                        )) as decimal(5, 2)) end as score_{{ c["id"] }}
                        {%- endfor %}
                    from (
                        select
                            customer_id
                            {%- for c in components %},
                            {{ c["weight"] }} as weight_{{ c["id"] }},
                            {%- if c["condition_sql"] is none %}
                            cast({{ c["measure"] }} as double) as value_{{ c["id"] }}
                            {%- else %}
                            case when {{ c["condition_sql"] }} then cast({{ c["measure"] }} as double) end
                                as value_{{ c["id"] }}
                            {%- endif %}
                            {%- endfor %}
                        from {{ relation }}
                    ) as valued
                ) as scored
            ) as weighed
        ) as shared
    ) as contributed
{%- endmacro %}
