{#-
    Score 1 (worst) to rfm.bins (best) of a buyer: by the program's bands, or by quantile. By
    quantile it is the share of buyers strictly below, in equal steps, so that equal values get
    equal scores and the many customers with one order stay at the bottom.
    axis: recency_days, frequency or monetary. value: column. places: relation with below, buyers.
-#}
{% macro rfm_score(axis, value, places) -%}
    {%- if setting_text("rfm.method") == "bands" -%}
        {{ band_score(axis, value) }}
    {%- else -%}
        cast(1 + floor(
            {{ places }}.below * {{ setting("rfm.bins", "integer") }} / {{ places }}.buyers
        ) as integer)
    {%- endif -%}
{%- endmacro %}

{#- Score of the band of program.rfm_bands that a value lies in. -#}
{% macro band_score(axis, value) -%}
    {%- set query -%}
        select
            score,
            from_value
        from program.rfm_bands
        where axis = '{{ axis }}'
        order by from_value desc nulls last
    {%- endset -%}
    {%- set bands = program_rows(query) if execute else [] -%}
    case
        {%- for band in bands if band["from_value"] is not none %}
        when {{ value }} >= {{ band["from_value"] }} then {{ band["score"] }}
        {%- else %}
        when {{ value }} is null then null
        {%- endfor %}
        else {{ bands[-1]["score"] if bands else 1 }}
    end
{%- endmacro %}

{#- Name of the first group of program.rfm_groups whose score ranges a buyer is in. -#}
{% macro rfm_group() -%}
    {%- set query -%}
        select * from program.rfm_groups order by position
    {%- endset -%}
    {%- set groups = program_rows(query) if execute else [] -%}
    case
        {%- for group in groups %}
        when
            r_score is not null
            {%- for axis in ["r", "f", "m"] if group[axis ~ "_from"] is not none %}
            and {{ axis }}_score between {{ group[axis ~ "_from"] }} and {{ group[axis ~ "_to"] }}
            {%- endfor %}
            then {{ text_literal(group["id"]) }}
        {%- else %}
        when r_score is not null then null
        {%- endfor %}
    end
{%- endmacro %}
