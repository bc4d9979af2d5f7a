-- What is unlike the customer's own history; likelihoods of counts are reckoned outside of SQL.
create temp table candidates as
with observed as (
    select
        *,
        getvariable('today') - greatest(observed_since, min(first_order_on) over ()) as order_days,
        getvariable('today') - greatest(observed_since, min(first_interaction_on) over ())
            as interaction_days,
        least(365, getvariable('today') - greatest(observed_since, min(first_ticket_on) over ())) - 90
            as baseline_days,
        -- The first event began the observation and says nothing about the rate.
        (
            getvariable('today') - first_order_on between 91 and 365
            and getvariable('today') - first_order_on = order_days
        )::integer as began_with_order,
        (
            getvariable('today') - first_visit_on between 91 and 365
            and getvariable('today') - first_visit_on = interaction_days
        )::integer as began_with_visit,
        (
            getvariable('today') - first_interaction_on between 91 and 365
            and getvariable('today') - first_interaction_on = interaction_days
        )::integer as began_with_interaction
    from profile
),
histories as (
    select
        customer_id,
        unnest([
            {
                'signal': 'purchase_drop', 'direction': 'drop', 'least_baseline': 3,
                'recent_events': orders_medium, 'baseline_days': least(order_days, 365) - 90,
                'baseline_events': orders_long - orders_medium - coalesce(began_with_order, 0)
            },
            {
                'signal': 'visit_drop', 'direction': 'drop', 'least_baseline': 4,
                'recent_events': visits_medium, 'baseline_days': least(interaction_days, 365) - 90,
                'baseline_events': visits_long - visits_medium - coalesce(began_with_visit, 0)
            },
            {
                'signal': 'interaction_drop', 'direction': 'drop', 'least_baseline': 6,
                'recent_events': interactions_medium, 'baseline_days': least(interaction_days, 365) - 90,
                'baseline_events':
                    interactions_long - interactions_medium - coalesce(began_with_interaction, 0)
            },
            {
                'signal': 'ticket_surge', 'direction': 'surge', 'least_baseline': 2,
                'recent_events': tickets_medium, 'baseline_days': baseline_days,
                'baseline_events': tickets_long - tickets_medium
            }
        ], recursive := true)
    from observed
)
select
    customer_id,
    signal,
    direction,
    recent_events,
    90 as recent_days,
    baseline_events,
    baseline_days
from histories
where
    baseline_days >= 90
    and baseline_events >= least_baseline
    and if(
        direction = 'drop',
        recent_events * baseline_days <= 0.5 * baseline_events * 90,
        recent_events * baseline_days >= 2 * baseline_events * 90
    )
union all
select
    customer_id,
    'repeated_complaints',
    if(baseline_days >= 90, 'surge', null),
    complaints_medium,
    90,
    if(baseline_days >= 90, complaints_long - complaints_medium, null),
    if(baseline_days >= 90, baseline_days, null)
from observed
where complaints_medium >= 2;
