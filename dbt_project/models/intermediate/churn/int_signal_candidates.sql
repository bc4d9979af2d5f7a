{%- set signals = signal_rules() -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

observation as (
    select * from {{ ref("int_customer_observation") }}
),

answers as (
    select * from {{ ref("int_customer_answers") }}
),

{% for signal in signals -%}
{{ signal["id"] }}_candidates as (
    {{ signal_candidates(signal) }}
),

{% endfor -%}
final as (
    {%- for signal in signals %}
    select
        customer_id,
        {{ text_literal(signal["id"]) }} as signal,
        direction,
        cast(recent_events as integer) as recent_events,
        cast(recent_days as integer) as recent_days,
        cast(baseline_events as integer) as baseline_events,
        cast(baseline_days as integer) as baseline_days,
        cast(observed as double) as observed,
        cast(expected_low as double) as expected_low,
        cast(expected_high as double) as expected_high,
        cast(likelihood as double) as likelihood,
        is_expired,
        detail
    from {{ signal["id"] }}_candidates
    union all
    {%- endfor %}
    {{ no_candidates() }}
)

select * from final
