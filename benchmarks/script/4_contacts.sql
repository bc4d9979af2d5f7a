-- Interactions, tickets, follow-ups, surveys and consents.
create temp table interactions_by_customer as
with counted as (
    select
        customer_id,
        count(*) as interactions_total,
        count(*) filter (where occurred_at >= getvariable('short')) as interactions_short,
        count(*) filter (where occurred_at >= getvariable('medium')) as interactions_medium,
        count(*) filter (where occurred_at >= getvariable('long')) as interactions_long,
        count(*) filter (where kind = 'login' and occurred_at >= getvariable('short')) as logins_short,
        count(*) filter (where kind = 'login' and occurred_at >= getvariable('medium')) as logins_medium,
        count(*) filter (where is_visit and occurred_at >= getvariable('short')) as visits_short,
        count(*) filter (where is_visit and occurred_at >= getvariable('medium')) as visits_medium,
        count(*) filter (where is_visit and occurred_at >= getvariable('long')) as visits_long,
        count(*) filter (
            where occurred_at >= getvariable('medium')
            and kind in ('open', 'click', 'reply', 'content_read', 'post', 'live_view')
        ) as engagements_medium,
        sum(dwell_seconds) filter (where occurred_at >= getvariable('short')) as dwell_seconds_short,
        min(occurred_at) filter (where is_visit) as first_visit_at,
        min(occurred_at) as first_interaction_at,
        max(occurred_at) as last_interaction_at
    from (
        select *, kind in ('visit', 'store_visit') as is_visit
        from read_parquet(getvariable('lake') || '/interactions/*/rows.parquet')
    )
    where occurred_at <= getvariable('as_of')
    group by customer_id
)
select
    *,
    cume_dist() over (order by interactions_total) as interaction_rank
from counted;

create temp table recent_interactions as
select
    customer_id,
    if(channel = 'app', 'push', channel) as channel,
    kind,
    occurred_at
from read_parquet(getvariable('lake') || '/interactions/*/rows.parquet')
where
    occurred_at between getvariable('half_year') and getvariable('as_of')
    and kind in ('call', 'click', 'content_read', 'login', 'open', 'reply', 'live_view', 'post');

create temp table content_by_customer as
with counted as (
    select
        customer_id,
        case kind
            when 'content_read' then 'article' when 'live_view' then 'live'
            when 'post' then 'discussion' else 'message'
        end as form,
        count(*) as events,
        max(occurred_at) as last_at
    from recent_interactions
    where kind in ('content_read', 'live_view', 'open', 'click', 'post')
    group by customer_id, form
)
select
    customer_id,
    sum(events)::integer as all_events,
    max({'events': events, 'last_at': last_at, 'form': form}) as most
from counted
group by customer_id;

create temp table follow_ups as
from read_parquet(getvariable('lake') || '/follow_ups/*/rows.parquet');

create temp table responses as
select
    customer_id,
    channel,
    -- 9:00, 12:00, 14:00, 18:00 and 21:00 are the borders of the parts of a day.
    case
        when minute between 540 and 719 then 1 when minute between 720 and 839 then 2
        when minute between 840 and 1079 then 3 when minute between 1080 and 1259 then 4
    end as daypart,
    count(*) as responses,
    sum(weight) as score,
    max(occurred_at) as last_response_at
from (
    select
        customer_id,
        channel,
        occurred_at,
        case when kind in ('reply', 'call') then 3 when kind = 'click' then 2 else 1 end as weight,
        (hour(occurred_at) + 8) % 24 * 60 + minute(occurred_at) as minute
    from (
        select * from recent_interactions
        where kind not in ('live_view', 'post')
        union all
        select customer_id, method, method, done_at
        from follow_ups
        where
            method = 'call' and feedback is not null
            and done_at between getvariable('half_year') and getvariable('as_of')
    )
    where channel in ('wecom', 'sms', 'email', 'push', 'call')
)
group by customer_id, channel, daypart;
drop table recent_interactions;

create table fct_customer_channels as
with scored as (
    select
        customer_id,
        channel,
        sum(responses)::integer as responses,
        sum(score)::decimal(18, 3) as score,
        max(last_response_at) as last_response_at
    from responses
    group by customer_id, channel
)
select
    customer_id,
    channel,
    responses,
    score,
    score::double / sum(score) over customer::double as share,
    local_date(last_response_at) as last_response_on,
    (row_number() over (
        customer
        order by
            score desc, responses desc, last_response_at desc,
            list_position(['wecom', 'sms', 'email', 'push', 'call'], channel)
    ))::integer as channel_rank
from scored
window customer as (partition by customer_id);

create temp table dayparts_by_customer as
with scored as (
    select
        customer_id,
        daypart,
        sum(responses) as responses,
        sum(score) as score,
        max(last_response_at) as last_response_at
    from responses
    where daypart is not null
    group by customer_id, daypart
)
select
    customer_id,
    sum(responses) as responses,
    max({'s': score, 'r': responses, 'l': last_response_at, 'earlier': -daypart}).earlier * -1 as daypart
from scored
group by customer_id;

create table fct_follow_ups as
select
    follow_up_id,
    customer_id,
    planned_at,
    local_date(planned_at) as planned_on,
    seen(f.done_at) as done_at,
    local_date(seen(f.done_at)) as done_on,
    due_on,
    method,
    staff_id,
    owner_id,
    case
        when done_on is not null then 'done'
        when coalesce(due_on, planned_on) < getvariable('today') then 'overdue'
        when coalesce(due_on, planned_on) is not null then 'planned'
        else 'undated'
    end as state,
    case
        when done_on > due_on then done_on - due_on
        when state = 'overdue' then getvariable('today') - coalesce(due_on, planned_on)
        else 0
    end::bigint as days_late
from follow_ups as f;
drop table follow_ups;

create table fct_tickets as
select
    ticket_id,
    customer_id,
    order_id,
    opened_at,
    local_date(opened_at) as opened_on,
    channel,
    touchpoint,
    kind,
    category,
    urgency,
    is_complex,
    department,
    owner_id,
    seen(t.acknowledged_at) as acknowledged_at,
    seen(t.first_response_at) as first_response_at,
    seen(t.resolved_at) as resolved_at,
    seen(t.closed_at) as closed_at,
    seen(t.archived_at) as archived_at,
    coalesce(t.resolved_at > getvariable('as_of'), true)
    and coalesce(t.closed_at > getvariable('as_of'), true) as is_open,
    (seconds(t.opened_at, seen(t.first_response_at)) / 3600)::decimal(9, 2) as response_hours,
    (seconds(t.opened_at, seen(t.resolved_at)) / 3600)::decimal(9, 2) as resolution_hours,
    reopened_count,
    if(t.resolved_at <= getvariable('as_of'), confirmation, null) as confirmation
from read_parquet(getvariable('lake') || '/tickets/*/rows.parquet') as t
where opened_at <= getvariable('as_of');

create temp table tickets_by_customer as
select
    customer_id,
    count(*) filter (where opened_at >= getvariable('medium')) as tickets_medium,
    count(*) filter (where opened_at >= getvariable('long')) as tickets_long,
    count(*) filter (where kind = 'complaint' and opened_at >= getvariable('medium')) as complaints_medium,
    count(*) filter (where kind = 'complaint' and opened_at >= getvariable('long')) as complaints_long,
    count(resolved_at) filter (where opened_at >= getvariable('long')) as resolved_long,
    round(avg(seconds(opened_at, first_response_at)) filter (
        where opened_at >= getvariable('long')
    ) / 3600, 4)
        as first_response_hours,
    round(avg(seconds(opened_at, resolved_at)) filter (
        where opened_at >= getvariable('long')
    ) / 3600, 4)
        as resolution_hours,
    count(*) filter (where is_open) as open_tickets,
    min(opened_at) as first_ticket_at,
    max(opened_at) as last_ticket_at
from fct_tickets
where customer_id is not null
group by customer_id;

create temp table surveys as
select
    customer_id,
    kind,
    asked_at,
    seen(s.answered_at) as answered_at,
    case kind
        when 'csat' then (score - scale_min) / nullif(scale_max - scale_min, 0)
        when 'nps' then
            10 * (score - coalesce(scale_min, 0))
            / nullif(coalesce(scale_max, 10) - coalesce(scale_min, 0), 0)
    end as value
from read_parquet(getvariable('lake') || '/surveys/*/rows.parquet') as s
where customer_id is not null and coalesce(asked_at, s.answered_at) <= getvariable('as_of');

create temp table surveys_by_customer as
select
    customer_id,
    round(avg(seconds(asked_at, answered_at)) / 3600, 4) as answer_hours,
    count(answered_at) / count(*)::double as answered_share
from surveys
where asked_at >= getvariable('long')
group by customer_id;

-- Several aspects are often answered at the same moment; they are averaged.
create temp table answers_by_customer as
with answers as (
    select
        customer_id,
        kind,
        answered_at,
        sum(value) as total,
        count(value) as answers,
        round(total / answers, 4) as score
    from surveys
    where value is not null and answered_at is not null
    group by customer_id, kind, answered_at
),
latest as (
    select
        customer_id,
        kind,
        max(answered_at) as last_at,
        arg_max(score, answered_at) as last_score,
        round(
            sum(total) filter (where answered_at >= getvariable('long'))
            / sum(answers) filter (where answered_at >= getvariable('long')), 4
        ) as average_long,
        list({'moment': answered_at, 'score': score}) as moments
    from answers
    group by customer_id, kind
)
select
    customer_id,
    max(last_score) filter (where kind = 'csat') as last_satisfaction,
    max(average_long) filter (where kind = 'csat') as satisfaction_long,
    max(last_score) filter (where kind = 'nps') as nps_last,
    max(last_at) filter (where kind = 'csat') as last_csat_at,
    any_value(list_transform(
        list_filter(moments, lambda m: m.moment < last_at), lambda m: m.score
    )) filter (where kind = 'csat') as earlier_scores
from latest
group by customer_id;
drop table surveys;

create temp table consents_by_customer as
with latest as (
    select customer_id, arg_max(granted, changed_at) as granted
    from read_parquet(getvariable('lake') || '/consents/*/rows.parquet')
    where changed_at <= getvariable('as_of') and purpose = 'marketing'
    group by customer_id, channel
)
select customer_id, bool_or(granted) as has_consent_marketing
from latest
group by customer_id;
