create temp macro plain(n) as regexp_replace(n::decimal(18, 2)::varchar, '[.]?0+$', '');
create temp macro likely(p) as if(p < 0.0001, 'likelihood below 0.01 %', 'likelihood ' || plain(100 * p) || ' %');

create temp table signals as
with counted as (
    select
        customer_id,
        signal,
        recent_events::double as observed,
        expected_low,
        expected_high,
        round(likelihood, 6) as p,
        case signal
            when 'purchase_drop' then 'orders' when 'visit_drop' then 'visits'
            when 'interaction_drop' then 'interactions' when 'ticket_surge' then 'tickets'
            else 'complaints'
        end as count,
        recent_events || ' ' || count || ' in 90 days' || coalesce(
            '; ' || plain(expected_low) || ' to ' || plain(expected_high) || ' expected after '
            || baseline_events || ' in the ' || baseline_days || ' days before; ' || likely(p), ''
        ) as evidence
    from candidates
    left join likelihoods using (direction, recent_events, recent_days, baseline_events, baseline_days)
    where signal = 'repeated_complaints' or likelihood <= 0.05
),
silent as (
    select
        customer_id,
        orders_total - 1 as intervals,
        last_order_on - first_order_on as history,
        days_since_last_order as silence,
        power(history / (history + silence)::double, intervals) as likelihood,
        round(history * (power(0.95::double, -1.0 / intervals) - 1), 1) as low,
        round(history * (power((1 - 0.9::double) / 2, -1.0 / intervals) - 1), 1) as high
    from profile
    where orders_total >= 3 and days_since_last_order between 30 and 365
),
dissatisfied as (
    select
        customer_id,
        last_satisfaction as observed,
        getvariable('today') - local_date(last_csat_at) as days,
        len(earlier_scores) as earlier,
        list_min(earlier_scores) as low,
        list_max(earlier_scores) as high,
        if(
            earlier > 0,
            round(
                (1 + len(list_filter(earlier_scores, lambda s: s <= last_satisfaction)))::double
                / (1 + earlier), 6
            ), null
        ) as p
    from profile
    where last_satisfaction <= 0.4
)
select * exclude (p, count), p as likelihood from counted
union all by name
select
    customer_id,
    'rhythm_broken' as signal,
    silence as observed,
    low as expected_low,
    high as expected_high,
    round(likelihood, 6) as likelihood,
    'no orders for ' || silence || ' days; ' || plain(low) || ' to ' || plain(high) || ' expected after '
    || intervals || ' intervals in ' || history || ' days; ' || likely(round(silent.likelihood, 6)) as evidence
from silent
where history >= 30 and silent.likelihood <= 0.05
union all by name
select
    customer_id,
    'no_purchase' as signal,
    'days_since_last_order ≥ 90 (' || days_since_last_order || '); days_since_last_order ≤ 365 ('
    || days_since_last_order || ')' as evidence
from profile
where days_since_last_order between 90 and 365
union all by name
select
    customer_id,
    'dissatisfied' as signal,
    observed,
    low as expected_low,
    high as expected_high,
    p as likelihood,
    'csat ' || plain(observed) || ' ' || days || ' days ago' || coalesce(
        '; ' || plain(low) || ' to ' || plain(high) || ' in ' || earlier || ' earlier answers; ' || likely(p), ''
    ) as evidence
from dissatisfied
where days < 30;

create temp table titles as
from (
    values
    (1, 'rhythm_broken', 3, 'Unusually long without purchase', '异常长时间未购买'),
    (2, 'no_purchase', 2, '3 months without purchase', '三个月未购买'),
    (3, 'purchase_drop', 2, 'Sudden fall in purchase frequency', '购买频次突降'),
    (4, 'visit_drop', 2, 'Sudden fall in visits', '到访骤降'),
    (5, 'interaction_drop', 2, 'Sudden fall in interaction', '互动骤降'),
    (6, 'ticket_surge', 1, 'Surge of tickets', '工单激增'),
    (7, 'repeated_complaints', 5, 'Repeated complaints', '多次投诉'),
    (8, 'dissatisfied', 2, 'Dissatisfied', '不满意')
) as titles (position, signal, points, title_en, title_zh);

create temp table churn as
with summed as (
    select
        customer_id,
        sum(points)::integer as churn_points,
        count(*)::integer as open_alerts,
        string_agg(title_en || ': ' || evidence, '; ' order by points desc, position) as churn_reason
    from signals
    join titles using (signal)
    group by customer_id
)
select
    summed.*,
    case when churn_points >= 8 then 'high' when churn_points >= 5 then 'medium' when churn_points >= 2 then 'low' end
        as churn_level,
    if(churn_level is null, null, (row_number() over (
        partition by churn_points < 2 order by spend_long desc, churn_points desc, customer_id
    ))::integer) as churn_rank
from summed
join profile using (customer_id);

create table fct_customer_alerts as
select
    customer_id || ' ' || signal || ' ' || getvariable('today') as alert_key,
    customer_id,
    signal,
    title_en as signal_title_en,
    title_zh as signal_title_zh,
    getvariable('today') as onset_on,
    getvariable('today') as last_seen_on,
    null::date as seen_before_on,
    null::date as closed_on,
    null::varchar as close_reason,
    true as is_open,
    observed,
    expected_low,
    expected_high,
    likelihood,
    evidence,
    points,
    churn_level,
    if(churn_level is null, null, getvariable('today')) as churn_level_since,
    churn_rank,
    getvariable('as_of') as as_of
from signals
join titles using (signal)
join churn using (customer_id);
