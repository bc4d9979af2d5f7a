-- The customer table of the retail_care pack, written by hand in one go: what dim_customers
-- holds, column for column. `lake` is the lake's folder, `as_of` a local midnight in UTC;
-- Shanghai has been eight hours ahead of UTC, without summer time, since 1992.
set variable today = (getvariable('as_of') + interval 8 hours)::date;
set variable short = getvariable('as_of') - interval 30 days;
set variable medium = getvariable('as_of') - interval 90 days;
set variable long = getvariable('as_of') - interval 365 days;

create temp table orders_by_customer as
with orders as (
    select
        customer_id,
        ordered_at,
        if(currency = 'CNY' or currency is null, amount, (amount * rate)::decimal(18, 4)) as spend,
        cancelled_at <= getvariable('as_of') as was_cancelled,
        coalesce(case
            when status in ('cancelled', 'returned') then cancelled_at > getvariable('as_of')
            when status in ('delivered', 'completed') then delivered_at > getvariable('as_of')
            when status = 'shipped' then shipped_at > getvariable('as_of')
            when status in ('paid', 'preparing') then paid_at > getvariable('as_of')
            else status is null
        end, false) as is_status_later,
        not coalesce(if(is_status_later, was_cancelled, status in ('cancelled', 'returned')), false)
            as counts,
        case
            when delivered_at <= getvariable('as_of') then delivered_at > promised_at
            when counts and promised_at < getvariable('as_of') then true
        end as is_late
    from read_parquet(getvariable('lake') || '/orders/*/rows.parquet')
    left join (
        values ('USD', 7.1), ('EUR', 7.8), ('GBP', 9.2), ('HKD', 0.91), ('JPY', 0.047)
    ) as rates (currency, rate) using (currency)
    where ordered_at <= getvariable('as_of')
)
select
    customer_id,
    count(*) as orders_placed,
    (count(*) filter (where counts))::integer as orders_total,
    (count(*) filter (where counts and ordered_at >= getvariable('short')))::integer as orders_short,
    (count(*) filter (where counts and ordered_at >= getvariable('medium')))::integer as orders_medium,
    (count(*) filter (where counts and ordered_at >= getvariable('long')))::integer as orders_long,
    coalesce(sum(spend) filter (where counts), 0) as spend_total,
    coalesce(sum(spend) filter (where counts and ordered_at >= getvariable('short')), 0) as spend_short,
    coalesce(sum(spend) filter (where counts and ordered_at >= getvariable('medium')), 0) as spend_medium,
    coalesce(sum(spend) filter (where counts and ordered_at >= getvariable('long')), 0) as spend_long,
    min(ordered_at) filter (where counts) as first_order_at,
    max(ordered_at) filter (where counts) as last_order_at,
    count(is_late) as deliveries_due,
    count(*) filter (where is_late) as deliveries_late
from orders
group by customer_id;

create temp table interactions_by_customer as
select
    customer_id,
    (count(*) filter (where occurred_at >= getvariable('short')))::integer as interactions_short,
    (count(*) filter (where occurred_at >= getvariable('medium')))::integer as interactions_medium,
    (count(*) filter (where occurred_at >= getvariable('long')))::integer as interactions_long,
    (count(*) filter (where kind = 'login' and occurred_at >= getvariable('short')))::integer as logins_short,
    (count(*) filter (where kind = 'login' and occurred_at >= getvariable('medium')))::integer as logins_medium,
    min(occurred_at) as first_interaction_at,
    max(occurred_at) as last_interaction_at,
    cume_dist() over (order by count(*)) as interaction_rank
from read_parquet(getvariable('lake') || '/interactions/*/rows.parquet')
where occurred_at <= getvariable('as_of')
group by customer_id;

create temp table tickets_by_customer as
select
    customer_id,
    (count(*) filter (where opened_at >= getvariable('medium')))::integer as tickets_medium,
    (count(*) filter (where opened_at >= getvariable('long')))::integer as tickets_long,
    (count(*) filter (where kind = 'complaint' and opened_at >= getvariable('medium')))::integer
        as complaints_medium,
    (count(*) filter (where kind = 'complaint' and opened_at >= getvariable('long')))::integer
        as complaints_long,
    (count(*) filter (
        where coalesce(resolved_at > getvariable('as_of'), true)
        and coalesce(closed_at > getvariable('as_of'), true)
    ))::integer as open_tickets,
    max(opened_at) as last_ticket_at
from read_parquet(getvariable('lake') || '/tickets/*/rows.parquet')
where opened_at <= getvariable('as_of') and customer_id is not null
group by customer_id;

create temp table answers_by_customer as
with answers as (
    select
        customer_id,
        kind,
        answered_at = max(answered_at) over (partition by customer_id, kind) as is_latest,
        if(
            kind = 'csat',
            (score - scale_min) / nullif(scale_max - scale_min, 0),
            10 * (score - coalesce(scale_min, 0))
            / nullif(coalesce(scale_max, 10) - coalesce(scale_min, 0), 0)
        ) as value
    from read_parquet(getvariable('lake') || '/surveys/*/rows.parquet')
    where
        kind in ('csat', 'nps')
        and customer_id is not null
        and score is not null
        and answered_at <= getvariable('as_of')
        and coalesce(asked_at, answered_at) <= getvariable('as_of')
)
select
    customer_id,
    round(avg(value) filter (where kind = 'csat'), 4) as last_satisfaction,
    round(avg(value) filter (where kind = 'nps'), 4) as nps_last
from answers
where is_latest
group by customer_id;

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
from (
    select *, (last_order_at + interval 8 hours)::date as last_order_on from orders_by_customer
)
where orders_total > 0
window
    spend as (order by spend_total),
    spend_long as (order by spend_long),
    frequency as (order by orders_total),
    recency as (order by last_order_on);

-- Several sources may know the same customer: of each column the latest known value holds.
create temp table known as
select *, coalesce(epoch(updated_at)::bigint, 0) * 1000000 + _batch as rank
from read_parquet(getvariable('lake') || '/customers/*/rows.parquet');

create temp table shared as
select customer_id from known group by customer_id having count(*) > 1;

create temp table people as
select
    customer_id,
    _source as source,
    customer_type,
    region,
    industry,
    sex,
    locale,
    source_channel,
    service_package,
    account_manager_id,
    is_strategic,
    registered_at,
    cooperation_start_on,
    member_since,
    member_tier
from known
anti join shared using (customer_id)
union all
select
    customer_id,
    string_agg(distinct _source, '+' order by _source),
    arg_max(customer_type, rank),
    arg_max(region, rank),
    arg_max(industry, rank),
    arg_max(sex, rank),
    arg_max(locale, rank),
    arg_max(source_channel, rank),
    arg_max(service_package, rank),
    arg_max(account_manager_id, rank),
    arg_max(is_strategic, rank),
    arg_max(registered_at, rank),
    arg_max(cooperation_start_on, rank),
    arg_max(member_since, rank),
    arg_max(member_tier, rank)
from known
semi join shared using (customer_id)
group by customer_id;

create table dim_customers as
with profile as (
    select
        people.* exclude (registered_at, cooperation_start_on, member_since, member_tier)
        replace (coalesce(is_strategic, false) as is_strategic),
        case when people.registered_at <= getvariable('as_of') then people.registered_at end
            as registered,
        (registered + interval 8 hours)::date as registered_on,
        case when coalesce(member_since <= getvariable('as_of'), true) then people.member_tier end
            as tier,
        tier as member_tier,
        coalesce(member_since <= getvariable('as_of'), false) or tier is not null as is_member,
        has_consent_marketing,
        (coalesce(registered, first_order_at, first_interaction_at) + interval 8 hours)::date
            as known_since,
        date_diff('day', known_since, getvariable('today'))::integer as tenure_days,
        date_diff('day', coalesce(
            case when cooperation_start_on <= getvariable('today') then cooperation_start_on end,
            known_since
        ), getvariable('today'))::integer as cooperation_days,
        (first_order_at + interval 8 hours)::date as first_order_on,
        (last_order_at + interval 8 hours)::date as last_order_on,
        (last_interaction_at + interval 8 hours)::date as last_interaction_on,
        (greatest(last_order_at, last_interaction_at, last_ticket_at) + interval 8 hours)::date
            as last_activity_on,
        date_diff('day', first_order_on, getvariable('today'))::integer as days_since_first_order,
        date_diff('day', last_order_on, getvariable('today'))::integer as days_since_last_order,
        date_diff('day', last_interaction_on, getvariable('today'))::integer
            as days_since_last_interaction,
        date_diff('day', last_activity_on, getvariable('today'))::integer as days_since_last_activity,
        coalesce(orders_total, 0) as orders_total,
        coalesce(orders_short, 0) as orders_short,
        coalesce(orders_medium, 0) as orders_medium,
        coalesce(orders_long, 0) as orders_long,
        coalesce(spend_total, 0)::decimal(18, 4) as spend_total,
        coalesce(spend_short, 0)::decimal(18, 4) as spend_short,
        coalesce(spend_medium, 0)::decimal(18, 4) as spend_medium,
        coalesce(spend_long, 0)::decimal(18, 4) as spend_long,
        (o.spend_total / nullif(o.orders_total, 0))::decimal(18, 4) as average_order_value,
        date_diff('day', first_order_on, last_order_on) / nullif((o.orders_total - 1)::double, 0)
            as average_order_interval_days,
        days_since_last_order / nullif(average_order_interval_days, 0) as interval_ratio,
        (orders_placed - o.orders_total) / orders_placed::double as returned_share,
        deliveries_late / nullif(deliveries_due, 0)::double as late_delivery_share,
        coalesce(interactions_short, 0) as interactions_short,
        coalesce(interactions_medium, 0) as interactions_medium,
        coalesce(interactions_long, 0) as interactions_long,
        coalesce(logins_short, 0) as logins_short,
        coalesce(logins_medium, 0) as logins_medium,
        coalesce(tickets_medium, 0) as tickets_medium,
        coalesce(tickets_long, 0) as tickets_long,
        coalesce(complaints_medium, 0) as complaints_medium,
        coalesce(complaints_long, 0) as complaints_long,
        coalesce(open_tickets, 0) as open_tickets,
        last_satisfaction,
        nps_last,
        spend_rank,
        spend_long_rank,
        frequency_rank,
        recency_rank,
        interaction_rank,
        r_score,
        f_score,
        m_score,
        r_score + f_score + m_score as rfm_sum,
        case
            when r_score is null then null
            when r_score >= 4 and f_score >= 4 and m_score >= 4 then 'champions'
            when r_score >= 3 and f_score >= 4 then 'loyal'
            when r_score >= 3 and m_score >= 4 then 'big_spenders'
            when r_score >= 4 and f_score <= 2 then 'recent'
            when r_score <= 2 and f_score >= 3 then 'at_risk'
            when r_score <= 2 then 'hibernating'
            else 'regular'
        end as rfm_group
    from people
    left join orders_by_customer as o using (customer_id)
    left join interactions_by_customer as i using (customer_id)
    left join tickets_by_customer as t using (customer_id)
    left join answers_by_customer using (customer_id)
    left join consents_by_customer using (customer_id)
    left join ranked using (customer_id)
    where
        people.registered_at is null or people.registered_at <= getvariable('as_of')
        or o.customer_id is not null or i.customer_id is not null or t.customer_id is not null
),

placed as (
    select
        *,
        case
            when
                spend_rank >= 0.8 and orders_long >= 3 and days_since_last_order <= 90
                and (interaction_rank >= 0.5 or interaction_rank is null) then 'core'
            when
                (days_since_last_order > 90 or (orders_total = 0 and tenure_days > 90))
                and interactions_short <= 1 then 'dormant'
            when
                (interactions_medium >= 1 or days_since_last_order <= 90)
                and (orders_total >= 2 or (spend_rank >= 0.4 and days_since_first_order > 30))
                then 'potential'
            else 'new'
        end as segment,
        case
            when days_since_last_order > 365 then 'lost'
            when days_since_last_order > 90 then 'dormant'
            when orders_total = 1 and days_since_first_order <= 30 then 'new'
            when orders_total >= 1 then 'active'
            else 'prospect'
        end as stage
    from profile
)

select
    customer_id,
    source,
    segment,
    case segment
        when 'core' then 'Core' when 'dormant' then 'Dormant' when 'potential' then 'Potential'
        else 'New'
    end as segment_title_en,
    case segment
        when 'core' then '核心客户' when 'dormant' then '沉睡客户' when 'potential' then '潜力客户'
        else '新客户'
    end as segment_title_zh,
    case segment
        when 'core' then
            'spend_rank ≥ 0.8 (' || spend_rank::decimal(18, 2) || '); orders_long ≥ 3 (' || orders_long
            || '); days_since_last_order ≤ 90 (' || days_since_last_order || '); '
            || if(
                interaction_rank is null, 'interaction_rank is unknown',
                'interaction_rank ≥ 0.5 (' || interaction_rank::decimal(18, 2) || ')'
            )
        when 'dormant' then concat_ws(
            '; ',
            if(days_since_last_order > 90, 'days_since_last_order > 90 (' || days_since_last_order || ')', null),
            if(
                orders_total = 0 and tenure_days > 90,
                'orders_total = 0; tenure_days > 90 (' || tenure_days || ')', null
            ),
            'interactions_short ≤ 1 (' || interactions_short || ')'
        )
        when 'potential' then concat_ws(
            '; ',
            if(interactions_medium >= 1, 'interactions_medium ≥ 1 (' || interactions_medium || ')', null),
            if(days_since_last_order <= 90, 'days_since_last_order ≤ 90 (' || days_since_last_order || ')', null),
            if(orders_total >= 2, 'orders_total ≥ 2 (' || orders_total || ')', null),
            if(
                spend_rank >= 0.4 and days_since_first_order > 30,
                'spend_rank ≥ 0.4 (' || spend_rank::decimal(18, 2)
                || '); days_since_first_order > 30 (' || days_since_first_order || ')', null
            )
        )
        else 'no other rule applies'
    end as segment_reason,
    getvariable('today') as segment_since,
    stage,
    case stage
        when 'lost' then 'Lost' when 'dormant' then 'Dormant' when 'new' then 'New'
        when 'active' then 'Active' else 'Prospect'
    end as stage_title_en,
    case stage
        when 'lost' then '流失' when 'dormant' then '沉睡' when 'new' then '新客'
        when 'active' then '活跃' else '意向客户'
    end as stage_title_zh,
    case stage
        when 'lost' then 'days_since_last_order > 365 (' || days_since_last_order || ')'
        when 'dormant' then 'days_since_last_order > 90 (' || days_since_last_order || ')'
        when 'new' then 'orders_total = 1; days_since_first_order ≤ 30 (' || days_since_first_order || ')'
        when 'active' then 'orders_total ≥ 1 (' || orders_total || ')'
        else 'no other rule applies'
    end as stage_reason,
    getvariable('today') as stage_since,
    customer_type,
    region,
    industry,
    sex,
    locale,
    source_channel,
    service_package,
    member_tier,
    is_member,
    is_strategic,
    account_manager_id,
    has_consent_marketing,
    registered_on,
    tenure_days,
    cooperation_days,
    first_order_on,
    last_order_on,
    last_interaction_on,
    last_activity_on,
    days_since_last_order,
    days_since_last_interaction,
    days_since_last_activity,
    orders_total,
    orders_short,
    orders_medium,
    orders_long,
    spend_total,
    spend_short,
    spend_medium,
    spend_long,
    average_order_value,
    average_order_interval_days,
    interval_ratio,
    returned_share,
    late_delivery_share,
    interactions_short,
    interactions_medium,
    interactions_long,
    logins_short,
    logins_medium,
    tickets_medium,
    tickets_long,
    complaints_medium,
    complaints_long,
    open_tickets,
    last_satisfaction,
    nps_last,
    spend_rank,
    spend_long_rank,
    frequency_rank,
    recency_rank,
    interaction_rank,
    r_score,
    f_score,
    m_score,
    rfm_sum,
    rfm_group,
    getvariable('today') as as_of_on
from placed;
