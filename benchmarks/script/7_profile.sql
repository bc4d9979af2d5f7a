-- One row per customer with every measure, and the health score.
create temp table ranked as
select
    customer_id,
    cume_dist() over spend as spend_rank,
    cume_dist() over spend_long as spend_long_rank,
    cume_dist() over frequency as frequency_rank,
    cume_dist() over recency as recency_rank,
    (1 + (rank() over recency - 1) * 5 // count(*) over ())::integer as r_score,
    (1 + (rank() over (order by orders_long) - 1) * 5 // count(*) over ())::integer as f_score,
    (1 + (rank() over spend_long - 1) * 5 // count(*) over ())::integer as m_score
from orders_by_customer
where orders_total > 0
window
    spend as (order by spend_total),
    spend_long as (order by spend_long),
    frequency as (order by orders_total),
    recency as (order by last_order_on);

-- Several sources may know the same customer: of each column the latest known value holds.
create temp table known as
select
    customer_id, customer_type, region, industry, sex, locale, source_channel, service_package,
    account_manager_id, is_strategic, registered_at, cooperation_start_on, member_since, member_tier,
    birthday, preferred_channel, preferred_contact_time, interests, updated_at, _source as source,
    coalesce(epoch(updated_at)::bigint, 0) * 1000000 + _batch as rank
from read_parquet(getvariable('lake') || '/customers/*/rows.parquet');

create temp table shared as
select customer_id from known group by customer_id having count(*) > 1;

create temp table people as
select * exclude (rank, source), source
from known
anti join shared using (customer_id)
union all
select
    customer_id,
    arg_max(columns(* exclude (customer_id, source, rank)), rank),
    string_agg(distinct source, '+' order by source)
from known
semi join shared using (customer_id)
group by customer_id;
drop table known;

create temp table profile as
select
    p.customer_id,
    p.source,
    customer_type,
    region,
    industry,
    sex,
    locale,
    source_channel,
    service_package,
    if(coalesce(p.member_since <= getvariable('as_of'), true), p.member_tier, null) as member_tier,
    coalesce(p.member_since <= getvariable('as_of'), false)
    or coalesce(p.member_since <= getvariable('as_of'), true) and p.member_tier is not null as is_member,
    coalesce(p.is_strategic, false) as is_strategic,
    account_manager_id,
    has_consent_marketing,
    local_date(seen(p.registered_at)) as registered_on,
    local_date(seen(p.member_since)) as member_since_on,
    local_date(seen(p.updated_at)) as updated_on,
    nullif(trim(p.interests), '') as interests,
    if(p.preferred_channel = 'app', 'push', p.preferred_channel) as asked_channel,
    nullif(trim(p.preferred_contact_time), '') as asked_time,
    local_date(coalesce(seen(p.registered_at), first_order_at, first_interaction_at)) as known_since,
    local_date(least(seen(p.registered_at), first_order_at, first_interaction_at, first_ticket_at))
        as observed_since,
    getvariable('today') - known_since as tenure_days,
    getvariable('today') - coalesce(
        if(p.cooperation_start_on <= getvariable('today'), p.cooperation_start_on, null), known_since
    ) as cooperation_days,
    first_order_on,
    last_order_on,
    local_date(first_interaction_at) as first_interaction_on,
    local_date(last_interaction_at) as last_interaction_on,
    local_date(first_visit_at) as first_visit_on,
    local_date(first_ticket_at) as first_ticket_on,
    local_date(greatest(last_order_at, last_interaction_at, last_ticket_at)) as last_activity_on,
    getvariable('today') - first_order_on as days_since_first_order,
    getvariable('today') - last_order_on as days_since_last_order,
    getvariable('today') - last_interaction_on as days_since_last_interaction,
    getvariable('today') - last_activity_on as days_since_last_activity,
    coalesce(o.orders_total, 0) as orders_total,
    coalesce(o.orders_short, 0) as orders_short,
    coalesce(o.orders_medium, 0) as orders_medium,
    coalesce(o.orders_long, 0) as orders_long,
    coalesce(o.spend_total, 0)::decimal(18, 4) as spend_total,
    coalesce(o.spend_short, 0)::decimal(18, 4) as spend_short,
    coalesce(o.spend_medium, 0)::decimal(18, 4) as spend_medium,
    coalesce(o.spend_long, 0)::decimal(18, 4) as spend_long,
    (o.spend_total::decimal(18, 4) / nullif(o.orders_total, 0))::decimal(18, 4) as average_order_value,
    (last_order_on - first_order_on) / nullif((o.orders_total - 1)::double, 0)
        as average_order_interval_days,
    days_since_last_order / nullif(average_order_interval_days, 0) as interval_ratio,
    (orders_placed - o.orders_total) / orders_placed::double as returned_share,
    deliveries_late / nullif(deliveries_due, 0)::double as late_delivery_share,
    orders_discounted / nullif(o.orders_total, 0)::double as discounted_share,
    coalesce(i.interactions_short, 0)::integer as interactions_short,
    coalesce(i.interactions_medium, 0)::integer as interactions_medium,
    coalesce(i.interactions_long, 0)::integer as interactions_long,
    coalesce(i.logins_short, 0)::integer as logins_short,
    coalesce(i.logins_medium, 0)::integer as logins_medium,
    coalesce(i.visits_short, 0)::integer as visits_short,
    coalesce(i.visits_medium, 0)::integer as visits_medium,
    coalesce(i.visits_long, 0)::integer as visits_long,
    coalesce(i.engagements_medium, 0)::integer as engagements_medium,
    coalesce(dwell_seconds_short, 0) / 60.0 as dwell_minutes_short,
    least(365, tenure_days) as seen_days,
    if(
        seen_days >= 60 and i.interactions_long - i.interactions_short >= 5,
        i.interactions_short::double / 30 * (seen_days - 30) / (i.interactions_long - i.interactions_short),
        null
    ) as interaction_change,
    if(
        seen_days >= 60 and i.visits_long - i.visits_short >= 5,
        i.visits_short::double / 30 * (seen_days - 30) / (i.visits_long - i.visits_short), null
    ) as visit_change,
    if(
        seen_days >= 180 and o.orders_long - o.orders_medium >= 5,
        o.orders_medium::double / 90 * (seen_days - 90) / (o.orders_long - o.orders_medium), null
    ) as order_change,
    coalesce(t.tickets_medium, 0)::integer as tickets_medium,
    coalesce(t.tickets_long, 0)::integer as tickets_long,
    coalesce(t.complaints_medium, 0)::integer as complaints_medium,
    coalesce(t.complaints_long, 0)::integer as complaints_long,
    coalesce(t.open_tickets, 0)::integer as open_tickets,
    resolved_long / nullif(t.tickets_long, 0)::double as resolved_share,
    first_response_hours,
    resolution_hours,
    last_satisfaction,
    satisfaction_long,
    nps_last,
    answer_hours,
    answered_share,
    (
        year(getvariable('today')) - year(birthday) - (
            month(getvariable('today')) * 100 + day(getvariable('today'))
            < month(birthday) * 100 + day(birthday)
        )::integer
    )::integer as age_years,
    spend_rank,
    spend_long_rank,
    frequency_rank,
    recency_rank,
    interaction_rank,
    r_score,
    f_score,
    m_score,
    last_csat_at,
    earlier_scores
from people as p
left join orders_by_customer as o using (customer_id)
left join ranked using (customer_id)
left join interactions_by_customer as i using (customer_id)
left join tickets_by_customer as t using (customer_id)
left join surveys_by_customer using (customer_id)
left join answers_by_customer using (customer_id)
left join consents_by_customer using (customer_id)
where
    p.registered_at is null or p.registered_at <= getvariable('as_of')
    or o.customer_id is not null or i.customer_id is not null or t.customer_id is not null;

create temp macro score(v, worst, best) as if(
    v is null, null, 100 * least(1, greatest(0, (v::double - worst) / (best - worst)))
)::decimal(5, 2);

create temp macro part(weight, score, known) as (weight::double * score / known)::decimal(7, 4);

create temp table health as
with scored as (
    select
        customer_id,
        interval_ratio as v_rhythm,
        score(v_rhythm, 3, 1) as rhythm,
        last_satisfaction as v_satisfaction,
        score(v_satisfaction, 0.2::double, 0.9::double) as satisfaction,
        if(tickets_long >= 1 or open_tickets >= 1, complaints_medium, null) as v_complaints,
        score(v_complaints, 3, 0) as complaints,
        resolved_share as v_resolution,
        score(v_resolution, 0.5::double, 1) as resolution,
        first_response_hours as v_response,
        score(v_response, 24, 1) as response,
        spend_long_rank as v_value,
        score(v_value, 0, 1) as value,
        if(interaction_rank is null, null, engagements_medium) as v_engagement,
        score(v_engagement, 0, 5) as engagement,
        (
            if(rhythm is null, 0, 20)
            + if(satisfaction is null, 0, 20)
            + if(complaints is null, 0, 10)
            + if(resolution is null, 0, 10)
            + if(response is null, 0, 10)
            + if(value is null, 0, 15)
            + if(engagement is null, 0, 15)
        )::double as known
    from profile
),
costs as (
    select
        *,
        round(known / 100, 4) as known_share,
        known_share >= 0.4 as is_known,
        coalesce(part(20, 100 - rhythm, known), 0) as c_rhythm,
        coalesce(part(20, 100 - satisfaction, known), 0) as c_satisfaction,
        coalesce(part(10, 100 - complaints, known), 0) as c_complaints,
        coalesce(part(10, 100 - resolution, known), 0) as c_resolution,
        coalesce(part(10, 100 - response, known), 0) as c_response,
        coalesce(part(15, 100 - value, known), 0) as c_value,
        coalesce(part(15, 100 - engagement, known), 0) as c_engagement,
        greatest(c_rhythm, c_satisfaction, c_complaints, c_resolution, c_response, c_value, c_engagement)
            as most
    from scored
)
select
    * exclude (c_rhythm, c_satisfaction, c_complaints, c_resolution, c_response, c_value, c_engagement, most),
    if(is_known, round(
        coalesce(part(20, rhythm, known), 0)
        + coalesce(part(20, satisfaction, known), 0)
        + coalesce(part(10, complaints, known), 0)
        + coalesce(part(10, resolution, known), 0)
        + coalesce(part(10, response, known), 0)
        + coalesce(part(15, value, known), 0)
        + coalesce(part(15, engagement, known), 0),
        1
    )::decimal(4, 1), null) as health_score,
    case
        when not is_known or most <= 0 then null
        when c_rhythm = most then 'rhythm'
        when c_satisfaction = most then 'satisfaction'
        when c_complaints = most then 'complaints'
        when c_resolution = most then 'resolution'
        when c_response = most then 'response'
        when c_value = most then 'value'
        when c_engagement = most then 'engagement'
    end as weakest
from costs;

create table fct_customer_health as
select
    customer_id,
    component,
    aspect,
    measure,
    round(value, 4) as value,
    score,
    weight,
    if(is_known, part(weight, score, known), null) as contribution,
    score is not null as is_known
from (
    select
        customer_id,
        known,
        is_known,
        unnest([
            {
                'component': 'rhythm', 'aspect': 'activity', 'measure': 'interval_ratio',
                'value': v_rhythm::double, 'score': rhythm, 'weight': 20::double
            },
            {
                'component': 'satisfaction', 'aspect': 'satisfaction', 'measure': 'last_satisfaction',
                'value': v_satisfaction::double, 'score': satisfaction, 'weight': 20::double
            },
            {
                'component': 'complaints', 'aspect': 'satisfaction', 'measure': 'complaints_medium',
                'value': v_complaints::double, 'score': complaints, 'weight': 10::double
            },
            {
                'component': 'resolution', 'aspect': 'resolution', 'measure': 'resolved_share',
                'value': v_resolution::double, 'score': resolution, 'weight': 10::double
            },
            {
                'component': 'response', 'aspect': 'response', 'measure': 'first_response_hours',
                'value': v_response::double, 'score': response, 'weight': 10::double
            },
            {
                'component': 'value', 'aspect': 'value', 'measure': 'spend_long_rank',
                'value': v_value::double, 'score': value, 'weight': 15::double
            },
            {
                'component': 'engagement', 'aspect': 'engagement', 'measure': 'engagements_medium',
                'value': v_engagement::double, 'score': engagement, 'weight': 15::double
            }
        ], recursive := true)
    from health
) as c (customer_id, known, is_known, component, aspect, measure, value, score, weight);

create table fct_customer_health_history as
select customer_id, getvariable('today') as recorded_on, health_score, getvariable('as_of') as as_of
from health
where health_score is not null;
