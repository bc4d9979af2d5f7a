{#-
    Recent daily rate of an event over the customer's own rate before: 1 is as usual, 0.5 half.
    The baseline is the longer window without the recent one, or as much of it as the customer
    has been known. Unknown where the baseline is shorter than the recent window or has fewer
    than profile.min_baseline events.
-#}
{% macro own_change(events, recent, baseline) -%}
    {%- set recent_days = setting("profile.windows." ~ recent ~ "_days", "integer") -%}
    {%- set known_days -%}
        (least({{ setting("profile.windows." ~ baseline ~ "_days", "integer") }}, tenure_days)
        - {{ recent_days }})
    {%- endset -%}
    case
        when
            {{ known_days }} >= {{ recent_days }}
            and {{ events }}_{{ baseline }} - {{ events }}_{{ recent }}
            >= {{ setting("profile.min_baseline", "integer") }}
            then
                cast({{ events }}_{{ recent }} as double) / {{ recent_days }}
                * {{ known_days }} / ({{ events }}_{{ baseline }} - {{ events }}_{{ recent }})
    end
{%- endmacro %}

{#- Whole years from one date to another, as ages are counted; unknown if one of them is. -#}
{% macro whole_years(earlier, later) -%}
    cast(
        extract(year from {{ later }}) - extract(year from {{ earlier }})
        - case
            when
                extract(month from {{ later }}) * 100 + extract(day from {{ later }})
                < extract(month from {{ earlier }}) * 100 + extract(day from {{ earlier }})
                then 1
            else 0
        end
        as integer)
{%- endmacro %}

{#- Score of a survey answer on one scale: csat 0 to 1, nps 0 to 10. -#}
{% macro answer_value() -%}
    case
        when kind = 'csat' then (score - scale_min) / nullif(scale_max - scale_min, 0)
        else
            10 * (score - coalesce(scale_min, 0))
            / nullif(coalesce(scale_max, 10) - coalesce(scale_min, 0), 0)
    end
{%- endmacro %}
