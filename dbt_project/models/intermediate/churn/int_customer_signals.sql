with

candidates as (
    select * from {{ ref("int_signal_candidates") }}
),

likelihoods as (
    select * from {{ ref("int_signal_likelihoods") }}
),

signals as (
    select * from {{ source("program", "signals") }}
),

profile as (
    select * from {{ ref("int_customer_profile") }}
),

judged as (
    select
        candidates.customer_id,
        signals.*,
        candidates.recent_events,
        candidates.recent_days,
        candidates.baseline_events,
        candidates.baseline_days,
        candidates.observed,
        coalesce(candidates.expected_low, likelihoods.expected_low) as expected_low,
        coalesce(candidates.expected_high, likelihoods.expected_high) as expected_high,
        round(coalesce(candidates.likelihood, likelihoods.likelihood), 6) as likelihood,
        candidates.is_expired,
        candidates.detail
    from candidates
    inner join signals on candidates.signal = signals.id
    inner join profile on candidates.customer_id = profile.customer_id
    left join likelihoods
        on
            candidates.direction = likelihoods.direction
            and candidates.recent_events = likelihoods.recent_events
            and candidates.recent_days = likelihoods.recent_days
            and candidates.baseline_events = likelihoods.baseline_events
            and candidates.baseline_days = likelihoods.baseline_days
    where
        signals.max_likelihood is null
        or coalesce(candidates.likelihood, likelihoods.likelihood) <= signals.max_likelihood
),

final as (
    select
        customer_id,
        id as signal,
        observed,
        expected_low,
        expected_high,
        likelihood,
        {{ signal_evidence() }} as evidence,
        is_expired
    from judged
)

select * from final
