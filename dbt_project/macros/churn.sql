{#-
    Features of the churn model, in the order of careloop.churn.FEATURES, from a buyer's history
    up to a day; the one definition for the cut-off and for today. Columns first_order_on and
    first_interaction_on are dates; names of the others are given. Amounts and counts enter by
    their logarithm. What was missed is what the customer's own pace would have brought in the
    silence; the pace is smoothed by the horizon, so that a single order says little about it.
-#}
{% macro churn_features(
    day, horizon_days, order_days, last_order_on, spend, mean_spend, interactions,
    last_interaction_on
) -%}
    ln(1 + {{ days_between("first_order_on", day) }}) as age,
    ln({{ order_days }}) as orders,
    ln(1 + {{ missed("order", order_days, last_order_on, day, horizon_days) }}) as missed_orders,
    coalesce(ln(
        {{ least_spend() }} + greatest(cast({{ spend }} as double), 0)
        / nullif(greatest(cast({{ mean_spend }} as double), 0), 0)
    ), 0) as spend,
    case when coalesce({{ interactions }}, 0) > 0 then 1 else 0 end as interactions_known,
    ln(1 + coalesce({{ interactions }}, 0)) as interactions,
    coalesce(ln(
        1 + {{ missed("interaction", interactions, last_interaction_on, day, horizon_days) }}
    ), 0) as missed_interactions
{%- endmacro %}

{#- Events that a customer's pace up to a day would have brought in the silence before it. -#}
{% macro missed(what, events, last_on, day, horizon_days) -%}
    cast({{ days_between(last_on, day) }} as double) * {{ events }}
    / ({{ days_between("first_" ~ what ~ "_on", day) }} + greatest({{ horizon_days }}, 1))
{%- endmacro %}

{#- Share of the mean that a spend of nothing counts as: its logarithm must exist. -#}
{% macro least_spend() -%}
    0.05
{%- endmacro %}

{#- Names of the features. -#}
{% macro churn_feature_names() -%}
    {{- return([
        "age", "orders", "missed_orders", "spend", "interactions_known", "interactions",
        "missed_interactions",
    ]) -}}
{%- endmacro %}

{#- Log-odds of the relation `features` under one with intercept and weight_<feature>. -#}
{% macro churn_log_odds(model) -%}
    {{ model }}.intercept
    {%- for name in churn_feature_names() %}
    + {{ model }}.weight_{{ name }} * features.{{ name }}
    {%- endfor %}
{%- endmacro %}

{#- Number of the first feature whose part of the log-odds is the given one. -#}
{% macro churn_place(part, besides=none) -%}
    case
        {%- for name in churn_feature_names() %}
        when {{ name }}_part = {{ part }}
            {%- if besides %} and {{ besides }} <> {{ loop.index }}{% endif %}
            then {{ loop.index }}
        {%- endfor %}
    end
{%- endmacro %}

{#- The feature with this number in words, with the customer's values. -#}
{% macro churn_reason(place) -%}
    case {{ place }}
        {%- for name in churn_feature_names() %}
        when {{ loop.index }} then {{ churn_words(name) }}
        {%- endfor %}
    end
{%- endmacro %}

{#- A feature in words; missed_orders_plain is the silence alone. -#}
{% macro churn_words(name) -%}
    {%- set due = "cast(cast(exp(%s) - 1 as decimal(18, 1)) as varchar) || ' due at their pace'" -%}
    {%- set words = {
        "age": "'first order ' || age_days || ' days ago'",
        "orders": "'orders on ' || order_days || case when order_days = 1 then ' day' else ' days' end",
        "missed_orders": "'no order for ' || silence_days || ' days, ' || " ~ due % "missed_orders",
        "missed_orders_plain": "'no order for ' || silence_days || ' days'",
        "spend": "'spend ' || cast(greatest(exp(spend) - " ~ least_spend()
            ~ ", 0) * 100 as decimal(18, 0)) || ' % of the mean'",
        "interactions_known": "case when interactions_known = 1 then 'interactions are known'"
            ~ " else 'no interaction is known' end",
        "interactions": "interactions_total || case when interactions_total = 1 then ' interaction'"
            ~ " else ' interactions' end",
        "missed_interactions": "case when interactions_known = 1 then 'no interaction for '"
            ~ " || interaction_silence_days || ' days, ' || " ~ due % "missed_interactions"
            ~ " else 'no interaction is known' end",
    } -%}
    {{- words[name] -}}
{%- endmacro %}
