{#- The program's signals of churn, one row each, in the order of the pack. -#}
{% macro signal_rules() -%}
    {%- if not execute -%}{{- return([]) -}}{%- endif -%}
    {{- return(program_rows("select * from program.signals order by position")) -}}
{%- endmacro %}

{#-
    Customers a signal may apply to. What needs no special function is decided here; changes are
    narrowed to those large enough, of which int_signal_likelihoods says how unlikely they are.
-#}
{% macro signal_candidates(signal) -%}
    {%- if signal["change"] -%}
        {{- changed_candidates(signal) -}}
    {%- elif signal["silence"] -%}
        {{- silent_candidates(signal) -}}
    {%- elif signal["repeated"] -%}
        {{- repeated_candidates(signal) -}}
    {%- elif signal["low_score"] -%}
        {{- low_score_candidates(signal) -}}
    {%- else -%}
        {{- condition_candidates(signal) -}}
    {%- endif -%}
{%- endmacro %}

{#-
    Counts of the recent window and of the baseline before it, which is the longer window without
    the recent one or as much of it as the customer was observed. An event with which the
    observation begins says nothing about the rate and is left out.
-#}
{% macro counted_history(count, window, baseline) -%}
    {%- set family = {
        "orders": "orders", "tickets": "tickets", "complaints": "tickets"
    }.get(count, "interactions") -%}
    {%- set recent_days = setting("profile.windows." ~ window ~ "_days", "integer") -%}
    {%- set longest = setting("profile.windows." ~ baseline ~ "_days", "integer") -%}
    select
        customer_id,
        {{ count }}_{{ window }} as recent_events,
        {{ recent_days }} as recent_days,
        {{ count }}_{{ baseline }} - {{ count }}_{{ window }}
        {%- if count not in ["tickets", "complaints"] %}
        - case
            when
                {{ days_since("first_" ~ count[:-1] ~ "_on") }} = {{ family }}_observed_days
                and {{ family }}_observed_days between {{ recent_days }} + 1 and {{ longest }}
                then 1
            else 0
        end
        {%- endif %} as baseline_events,
        least({{ family }}_observed_days, {{ longest }}) - {{ recent_days }} as baseline_days
    from observation
{%- endmacro %}

{#- Rate in the recent window against the customer's own rate before, at least `by` apart. -#}
{% macro changed_candidates(signal) -%}
    select
        customer_id,
        '{{ signal["change"] }}' as direction,
        recent_events,
        recent_days,
        baseline_events,
        baseline_days,
        recent_events as observed,
        null as expected_low,
        null as expected_high,
        null as likelihood,
        false as is_expired,
        cast(null as {{ dbt.type_string() }}) as detail
    from (
        {{ counted_history(signal["count"], signal["window"], signal["baseline"]) }}
    ) as history
    where
        baseline_days >= recent_days
        and baseline_events >= {{ signal["min_baseline"] }}
        {%- if signal["change"] == "drop" %}
        and recent_events * baseline_days
        <= (1 - {{ signal["by"] }}) * baseline_events * recent_days
        {%- else %}
        and recent_events * baseline_days
        >= (1 + {{ signal["by"] }}) * baseline_events * recent_days
        {%- endif %}
{%- endmacro %}

{#- So many within the window; unlikely or not by the rate before, where it was long enough. -#}
{% macro repeated_candidates(signal) -%}
    select
        customer_id,
        case when baseline_days >= recent_days then 'surge' end as direction,
        recent_events,
        recent_days,
        case when baseline_days >= recent_days then baseline_events end as baseline_events,
        case when baseline_days >= recent_days then baseline_days end as baseline_days,
        recent_events as observed,
        null as expected_low,
        null as expected_high,
        null as likelihood,
        false as is_expired,
        cast(null as {{ dbt.type_string() }}) as detail
    from (
        {{ counted_history(signal["repeated"], signal["window"], "long") }}
    ) as history
    where recent_events >= {{ signal["at_least"] }}
{%- endmacro %}

{#-
    Days since the last event, which is long for this customer. With intervals taken as
    exponential and Jeffreys' prior 1/λ for their rate, the next interval after k intervals of
    d days in all exceeds s days with the chance (d / (d + s))^k, exactly also in the frequentist
    sense: s·k/d follows F(2, 2k). Source: J. F. Lawless, A prediction problem concerning samples
    from the exponential distribution, Technometrics 13 (1971). History and silence are at least
    `min_days` long, so that a few events in a row are not taken for a rhythm.
-#}
{% macro silent_candidates(signal) -%}
    {%- set count = signal["silence"] -%}
    {%- set interval = setting("churn.interval", "double") -%}
    select
        customer_id,
        cast(null as {{ dbt.type_string() }}) as direction,
        0 as recent_events,
        silent_days as recent_days,
        intervals as baseline_events,
        history_days as baseline_days,
        silent_days as observed,
        round(history_days * (power((1 + {{ interval }}) / 2, -1.0 / intervals) - 1), 1)
            as expected_low,
        round(history_days * (power((1 - {{ interval }}) / 2, -1.0 / intervals) - 1), 1)
            as expected_high,
        power(history_days / cast(history_days + silent_days as double), intervals)
            as likelihood,
        {{ "silent_days > " ~ signal["expires_after_days"]
            if signal["expires_after_days"] else "false" }} as is_expired,
        cast(null as {{ dbt.type_string() }}) as detail
    from (
        select
            customer_id,
            {{ count }}_total - 1 as intervals,
            {{ days_between("first_" ~ count[:-1] ~ "_on", "last_" ~ count[:-1] ~ "_on") }}
                as history_days,
            {{ days_since("last_" ~ count[:-1] ~ "_on") }} as silent_days
        from observation
        where {{ count }}_total >= {{ signal["min_events"] }}
    ) as history
    where
        silent_days >= {{ signal["min_days"] }}
        and history_days >= {{ signal["min_days"] }}
        and power(history_days / cast(history_days + silent_days as double), intervals)
        <= {{ signal["max_likelihood"] }}
{%- endmacro %}

{#-
    Last answer as low as the limit. How unlikely it is: the share of the customer's answers,
    this one included, that are as low (the rank p-value; Laplace's rule keeps it above 0).
    Expected are the scores between the lowest and the highest earlier one.
-#}
{% macro low_score_candidates(signal) -%}
    select
        customer_id,
        cast(null as {{ dbt.type_string() }}) as direction,
        1 as recent_events,
        {{ days_since("last_answered_on") }} as recent_days,
        earlier_answers as baseline_events,
        cast(null as integer) as baseline_days,
        last_score as observed,
        earlier_lowest as expected_low,
        earlier_highest as expected_high,
        case
            when earlier_answers > 0
                then cast(1 + earlier_as_low as double) / (1 + earlier_answers)
        end as likelihood,
        {{ days_since("last_answered_on") }} >= {{ signal["expires_after_days"] }} as is_expired,
        cast(null as {{ dbt.type_string() }}) as detail
    from answers
    where kind = '{{ signal["low_score"] }}' and last_score <= {{ signal["at_most"] }}
{%- endmacro %}

{#- Customers for whom a condition over measures holds; nothing is expected of them. -#}
{% macro condition_candidates(signal) -%}
    select
        customer_id,
        cast(null as {{ dbt.type_string() }}) as direction,
        null as recent_events,
        null as recent_days,
        null as baseline_events,
        null as baseline_days,
        null as observed,
        null as expected_low,
        null as expected_high,
        null as likelihood,
        false as is_expired,
        cast({{ signal["reason_sql"] }} as {{ dbt.type_string() }}) as detail
    from profile
    where {{ signal["condition_sql"] }}
{%- endmacro %}

{#- Ends the union of all signals, for a program may have none: the columns without a row. -#}
{% macro no_candidates() -%}
    select
        customer_id,
        cast(null as {{ dbt.type_string() }}) as signal,
        cast(null as {{ dbt.type_string() }}) as direction,
        cast(null as integer) as recent_events,
        cast(null as integer) as recent_days,
        cast(null as integer) as baseline_events,
        cast(null as integer) as baseline_days,
        cast(null as double) as observed,
        cast(null as double) as expected_low,
        cast(null as double) as expected_high,
        cast(null as double) as likelihood,
        false as is_expired,
        cast(null as {{ dbt.type_string() }}) as detail
    from profile
    where false
{%- endmacro %}

{#- What a signal saw and what was expected, in words with figures. -#}
{% macro signal_evidence() -%}
    case
        when change is not null then
            recent_events || ' ' || {{ quoted("count") }} || ' in ' || recent_days || ' days; '
            || {{ expected_words() }} || ' expected after ' || baseline_events || ' in the '
            || baseline_days || ' days before; ' || {{ likelihood_words() }}
        when silence is not null then
            'no ' || silence || ' for ' || recent_days || ' days; ' || {{ expected_words() }}
            || ' expected after ' || baseline_events || ' intervals in ' || baseline_days
            || ' days; ' || {{ likelihood_words() }}
        when repeated is not null then
            recent_events || ' ' || repeated || ' in ' || recent_days || ' days'
            || coalesce(
                '; ' || {{ expected_words() }} || ' expected after ' || baseline_events
                || ' in the ' || baseline_days || ' days before; ' || {{ likelihood_words() }},
                ''
            )
        when low_score is not null then
            low_score || ' ' || {{ plain_number("observed", 2) }} || ' ' || recent_days
            || ' days ago'
            || coalesce(
                '; ' || {{ expected_words() }} || ' in ' || baseline_events
                || ' earlier answers; ' || {{ likelihood_words() }},
                ''
            )
        else detail
    end
{%- endmacro %}

{#- Expected range of a signal in words. -#}
{% macro expected_words() -%}
    {{ plain_number("expected_low", 2) }} || ' to ' || {{ plain_number("expected_high", 2) }}
{%- endmacro %}

{#- Likelihood of a signal in words, as a percentage. -#}
{% macro likelihood_words() -%}
    case
        when likelihood < 0.0001 then 'likelihood below 0.01 %'
        else 'likelihood ' || {{ plain_number("100 * likelihood", 2) }} || ' %'
    end
{%- endmacro %}

{#- A number as text with at most so many decimals, without zeros at the end. -#}
{% macro plain_number(value, decimals) -%}
    regexp_replace(
        cast(cast({{ value }} as decimal(18, {{ decimals }})) as {{ dbt.type_string() }}),
        '[.]?0+$', ''
    )
{%- endmacro %}
