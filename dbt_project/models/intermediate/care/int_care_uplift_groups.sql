with

exposures as (
    select * from {{ ref("int_care_exposures") }}
    -- Over all time, only who has had the whole window: others would count as not converted.
    where period <> 'all' or counted_until <= {{ as_of_utc() }}
),

outcomes as (
    select * from {{ ref("int_care_outcomes") }}
),

-- A customer's month and all time mostly begin with the same exposure: looked at once.
windows as (
    select distinct
        customer_id,
        exposed_at,
        counted_until,
        conversion_event
    from exposures
),

happened as (
    select
        windows.customer_id,
        windows.exposed_at,
        windows.counted_until,
        windows.conversion_event,
        max(case when outcomes.event = windows.conversion_event then 1 else 0 end)
            as conversions,
        sum(case when outcomes.event = 'order' then outcomes.amount else 0 end) as spend
    from windows
    inner join outcomes
        on
            windows.customer_id = outcomes.customer_id
            and windows.exposed_at < outcomes.occurred_at
            and windows.counted_until >= outcomes.occurred_at
    where outcomes.event = windows.conversion_event or outcomes.event = 'order'
    group by
        windows.customer_id,
        windows.exposed_at,
        windows.counted_until,
        windows.conversion_event
),

units as (
    select
        exposures.*,
        coalesce(happened.conversions, 0) as conversions,
        cast(coalesce(happened.spend, 0) as decimal(18, 4)) as spend
    from exposures
    left join happened
        on
            exposures.customer_id = happened.customer_id
            and exposures.exposed_at = happened.exposed_at
            and exposures.counted_until = happened.counted_until
            and exposures.conversion_event = happened.conversion_event
),

grouped as (
    select
        experiment_kind,
        experiment,
        period,
        min(conversion_event) as conversion_event,
        -- Of shares that changed over time the average is what was promised to all together.
        round(
            sum(cast(holdout_share as decimal(18, 9))) / nullif(count(holdout_share), 0), 9
        ) as holdout_share,
        max(counted_until) as counted_until,
        max(period_counted_until) as period_counted_until,
        count(*) filter (where arm = 'treated') as treated_customers,
        coalesce(sum(conversions) filter (where arm = 'treated'), 0) as treated_conversions,
        coalesce(sum(spend) filter (where arm = 'treated'), 0) as treated_spend_total,
        coalesce(sum(spend * spend) filter (where arm = 'treated'), 0) as treated_spend_squares,
        count(*) filter (where arm = 'holdout') as holdout_customers,
        coalesce(sum(conversions) filter (where arm = 'holdout'), 0) as holdout_conversions,
        coalesce(sum(spend) filter (where arm = 'holdout'), 0) as holdout_spend_total,
        coalesce(sum(spend * spend) filter (where arm = 'holdout'), 0) as holdout_spend_squares
    from units
    group by experiment_kind, experiment, period
),

final as (
    select
        experiment_kind,
        experiment,
        period,
        conversion_event,
        holdout_share,
        treated_customers,
        treated_conversions,
        treated_spend_total,
        treated_spend_squares,
        holdout_customers,
        holdout_conversions,
        holdout_spend_total,
        holdout_spend_squares,
        case
            when
                period <> 'all'
                and coalesce(period_counted_until, counted_until) > {{ as_of_utc() }}
                then {{ local_date("coalesce(period_counted_until, counted_until)") }}
        end as complete_on
    from grouped
)

select * from final
