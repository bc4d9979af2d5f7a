-- fct_care_decisions: whom to care for today, how, or why not. Runs on the warehouse of the day,
-- whose tables about customers it takes as they are; rules, caps and quiet hours of retail_care are
-- written in. `as_of` is a local midnight in UTC; Shanghai is eight hours ahead.
set variable today = (getvariable('as_of') + interval 8 hours)::date;
create temp macro local_date(moment) as (moment + interval 8 hours)::date;
create temp macro midnight(day) as day::timestamp - interval 8 hours;
create temp macro draw(t) as ('0x' || left(md5(t), 8))::bigint;
create temp macro quoted(t) as coalesce('"' || replace(replace(t::varchar, '\', '\\'), '"', '\"') || '"', 'null');
create temp macro flag(b) as if(b, 'true', 'false');
create temp macro iso(t) as strftime(t, '%Y-%m-%dT%H:%M:%SZ');

-- -- rules and channels ------------------------------------------------------------------------
create temp table channels as
from (values
    ('sms', 1), ('call', 2), ('email', 4), ('wecom', 8), ('push', 16), ('visit', 32), ('app', 0),
    ('mini_program', 0), ('community', 0), ('live', 0), ('article', 0), ('online', 0)
) as c (channel, bit);

create temp table sets as
select
    range::integer as bits,
    '[' || coalesce(string_agg('"' || channel || '"', ', ' order by bit), '') || ']' as json,
    coalesce(string_agg(channel, ', ' order by bit), 'none') as words
from range(64)
left join channels on range & bit <> 0
group by range;

create temp table rules as
select
    r.*,
    if(cooldown = '6mo', interval 6 months, to_days(rtrim(cooldown, 'mod')::integer)) as pause,
    list_sum([[1, 2, 4, 8, 16, 32][list_position(['sms', 'call', 'email', 'wecom', 'push', 'visit'], c)] for c in preference])::integer as asked
from (values
    ('consult_offer', 'care', ['wecom', 'call'], 'consult_offer', null, null, 'service', 60, null, null, 0.0),
    ('recommendation', 'marketing', ['wecom', 'push', 'email'], 'recommendation', null, null, null, 20, null, null, 0),
    ('repurchase_incentive', 'marketing', ['wecom', 'sms', 'email'], 'repurchase_incentive', 'spend_and_get', 30, null, 40, null, '90d', 0),
    ('order_paid', 'service', ['wecom', 'sms', 'email'], 'order_paid', null, null, null, 90, null, null, 0),
    ('order_preparing', 'service', ['wecom', 'sms', 'email'], 'order_preparing', null, null, null, 90, null, null, 0),
    ('order_shipped', 'service', ['wecom', 'sms', 'email'], 'order_shipped', null, null, null, 90, null, null, 0),
    ('late_delivery', 'service', ['wecom', 'sms', 'email', 'call'], 'late_delivery', 'late_coupon', 90, null, 95, null, null, 0),
    ('lost_delivery', 'service', ['call', 'wecom', 'sms'], 'lost_delivery', 'lost_coupon', 90, 'service', 96, null, null, 0),
    ('delivery_follow_up', 'survey', ['wecom', 'sms', 'email', 'call'], 'delivery_follow_up', null, null, null, 70, null, '30d', 0),
    ('solved_questionnaire', 'survey', ['wecom', 'sms', 'email'], 'solved_questionnaire', null, null, null, 75, null, null, 0),
    ('welcome', 'care', ['wecom', 'email', 'sms'], 'welcome', 'welcome_pack', 30, null, 65, null, null, 0),
    ('birthday_core', 'care', ['wecom', 'call', 'sms'], 'birthday_core', 'birthday_box', 30, 'account_manager', 85, null, null, 0),
    ('birthday', 'care', ['wecom', 'sms', 'email'], 'birthday', 'birthday_coupon', 30, null, 80, null, null, 0.05),
    ('membership_anniversary', 'care', ['wecom', 'sms', 'email'], 'membership_anniversary', 'festival_points', 30, null, 60, null, null, 0),
    ('spring_festival', 'care', ['wecom', 'sms', 'email'], 'spring_festival', 'festival_points', 30, null, 55, null, null, 0),
    ('mid_autumn', 'care', ['wecom', 'sms', 'email'], 'mid_autumn', 'festival_points', 30, null, 55, null, null, 0),
    ('occasion_618', 'marketing', ['wecom', 'push', 'email'], 'occasion_618', null, null, null, 45, null, null, 0),
    ('double_11', 'marketing', ['wecom', 'push', 'email'], 'double_11', null, null, null, 45, null, null, 0),
    ('abandoned_cart', 'marketing', ['wecom', 'push', 'email'], 'abandoned_cart', null, null, null, 50, null, '14d', 0),
    ('maintenance', 'care', ['wecom', 'sms', 'email'], 'maintenance', 'free_maintenance', 90, null, 45, null, '30d', 0),
    ('wake_up', 'marketing', ['wecom', 'sms', 'email'], 'wake_up', 'return_discount', 30, null, 50, 'win_back', null, 0.1),
    ('wake_up_call', 'care', ['call'], 'wake_up_call', null, null, 'service', 40, null, null, 0),
    ('win_back_low', 'care', ['wecom', 'sms', 'email'], 'win_back_low', null, null, null, 62, 'win_back', '30d', 0.1),
    ('win_back_medium', 'care', ['call', 'wecom'], 'win_back_plan', 'exclusive', 14, 'service', 88, 'win_back', '30d', 0),
    ('win_back_high', 'care', ['call', 'wecom'], 'win_back_plan', 'exclusive', 14, 'account_manager', 89, 'win_back', '30d', 0),
    ('points_expiring', 'care', ['wecom', 'sms', 'email'], 'points_expiring', null, null, null, 35, null, '30d', 0),
    ('tier_reached', 'care', ['wecom', 'sms', 'email'], 'tier_reached', null, null, null, 66, null, null, 0),
    ('referral_thanks', 'care', ['wecom', 'sms', 'email'], 'referral_thanks', null, null, null, 58, null, null, 0),
    ('core_welcome', 'care', ['wecom', 'call'], 'core_welcome', null, null, 'account_manager', 69, null, '180d', 0),
    ('new_products_first', 'marketing', ['wecom', 'push', 'email'], 'new_products_first', null, null, null, 49, null, null, 0),
    ('core_contact', 'care', ['wecom', 'call'], 'core_contact', null, null, 'account_manager', 68, null, null, 0),
    ('core_interview', 'survey', ['call', 'visit'], 'core_interview', null, null, 'account_manager', 67, null, null, 0),
    ('potential_survey', 'survey', ['wecom', 'sms', 'email'], 'potential_survey', null, null, null, 30, null, null, 0),
    ('useful_content', 'care', ['wecom', 'email'], 'useful_content', null, null, null, 15, null, null, 0),
    ('exclusive_offer', 'marketing', ['wecom', 'sms', 'email'], 'exclusive_offer', 'exclusive', 14, null, 48, 'win_back', '6mo', 0.1)
) as r (rule, purpose, preference, template, offer, valid_days, who, priority, cap_group, cooldown, share);

-- Per rule and channels that are left, the first in the rule's order.
create temp table firsts as
select
    rule,
    bits,
    [c for c in preference if bits & [1, 2, 4, 8, 16, 32][list_position(['sms', 'call', 'email', 'wecom', 'push', 'visit'], c)] <> 0][1] as first_channel
from rules
inner join sets on bits & asked = bits and bits <> 0;

-- Working days, and the end of the first, third … after a day.
create temp table due as
with days as (
    select date as day, is_workday, count(*) filter (where is_workday) over (order by date) as number
    from program.calendar_days
    where date between getvariable('today') - 40 and getvariable('today') + 60
)
select a.day, b.number - a.number as n, midnight(b.day) + interval 18 hours as due_at
from days as a
inner join days as b on b.is_workday and b.number - a.number in (1, 3, 5, 10);

-- The day of the next call: working days only.
set variable call_on = (
    select min(date) from program.calendar_days where date >= getvariable('today') and is_workday
);

-- -- customers ---------------------------------------------------------------------------------
create temp table people as
with changes as (
    from run.previous_customer_changes where as_of < getvariable('as_of')
),
falls as (
    select distinct customer_id, to_value as churn_level, changed_on
    from (
        select customer_id, from_value, to_value, changed_on
        from changes where dimension = 'churn_level' and changed_on >= getvariable('today') - 9
        union all
        select customer_id, p.churn_level, c.churn_level, getvariable('today')
        from intermediate.int_customer_churn as c
        inner join intermediate.int_customer_previous as p using (customer_id)
        where c.churn_level <> p.churn_level
    )
    where list_position(['low', 'medium', 'high'], from_value) > list_position(['low', 'medium', 'high'], to_value)
),
tier_falls as (
    select distinct customer_id, tier_since
    from intermediate.int_customer_tier_changes
    where
        tier_since >= getvariable('today') - 9
        and coalesce(list_position(['regular', 'silver', 'gold'], from_tier), 0)
        > coalesce(list_position(['regular', 'silver', 'gold'], tier), 0)
)
select
    p.customer_id, s.segment, s.stage, l.tier, ch.churn_level, p.account_manager_id, p.locale,
    p.predicted_value, p.open_tickets, p.spend_rank, p.spend_long_rank, p.churn_risk,
    pref.preferred_channel, pref.preferred_time_from, c.birthday,
    local_date(c.member_since) as member_since, c.registered_at, o.last_order_at, o.first_order_at,
    f.last_contacted_at, a.last_answered_at,
    if(r.has_phone, 3, 0) + if(r.has_email, 4, 0) + if(r.has_wecom, 8, 0) + if(r.has_push, 16, 0)
    + 32 as reach,
    if(
        s.segment is distinct from v.segment or v.segment_since > k.known, case
            when s.segment = v.segment then v.segment_since
            when getvariable('today') > k.known then getvariable('today')
        end, null
    ) as segment_entered_on,
    if(l.tier_since > t.known and tf.customer_id is null, l.tier_since, null) as tier_entered_on,
    if(ch.churn_level_since > k.known and lf.customer_id is null, ch.churn_level_since, null)
        as level_entered_on
from intermediate.int_customer_profile as p
inner join staging.stg_customers as c using (customer_id)
inner join intermediate.int_customer_segments as s using (customer_id)
inner join intermediate.int_customer_loyalty as l using (customer_id)
inner join intermediate.int_customer_churn as ch using (customer_id)
inner join intermediate.int_customer_preferences as pref using (customer_id)
left join intermediate.int_customer_previous as v using (customer_id)
left join intermediate.int_customer_orders as o using (customer_id)
left join run.reachability as r using (customer_id)
left join (
    select customer_id, max(done_at) as last_contacted_at from staging.stg_follow_ups group by all
) as f using (customer_id)
left join (
    select customer_id, max(answered_at) as last_answered_at from staging.stg_surveys group by all
) as a using (customer_id)
cross join (select min(changed_on) as known from changes) as k
cross join (
    select min(changed_on) as known
    from run.previous_customer_tier_changes where as_of < getvariable('as_of')
) as t
left join tier_falls as tf on p.customer_id = tf.customer_id and l.tier_since = tf.tier_since
left join falls as lf
    on p.customer_id = lf.customer_id and ch.churn_level = lf.churn_level
    and ch.churn_level_since = lf.changed_on;

create temp table next_products as
select n.customer_id, n.product_id, p.name as product_name, p.category
from marts.fct_customer_next_products as n
left join intermediate.int_products as p using (product_id)
where n.rank = 1;

-- -- what happened to orders -------------------------------------------------------------------
create temp table recent as
select
    o.customer_id, o.order_id, o.status, o.ordered_at, o.updated_at, o.paid_at, o.shipped_at,
    o.delivered_at, o.cancelled_at,
    coalesce(o.promised_at, midnight(local_date(o.shipped_at) + 6)) as promised_at,
    o.amount::decimal(18, 2) as order_amount, o.currency,
    coalesce(o.status in ('cancelled', 'returned'), false) or o.cancelled_at is not null as is_returned,
    coalesce(o.status in ('delivered', 'completed'), false) or o.delivered_at is not null as is_delivered,
    w.customer_id is not null and o.status is distinct from 'cancelled' as is_placed,
    w.is_new, w.last_order_at
from staging.stg_orders as o
left join (
    select
        customer_id, last_order_at,
        coalesce(first_order_at >= getvariable('as_of') - interval 4 days, true) as is_new
    from intermediate.int_customer_orders
    where
        is_new
        or local_date(last_order_at) between getvariable('today') - 150
        and getvariable('today') - interval 3 months
) as w on o.customer_id = w.customer_id and (w.is_new or o.ordered_at = w.last_order_at)
where
    w.customer_id is not null
    or o.paid_at >= getvariable('as_of') - interval 2 days
    or (o.status = 'preparing' and coalesce(o.updated_at, o.paid_at) >= getvariable('as_of') - interval 2 days)
    or o.shipped_at >= getvariable('as_of') - interval 3 days
    or o.delivered_at >= getvariable('as_of') - interval 8 days
    or coalesce(o.promised_at, o.shipped_at) between getvariable('as_of') - interval 20 days and getvariable('as_of');

create temp table order_events as
with late as (
    select
        *,
        coalesce(status, '') <> 'pending'
        and coalesce(delivered_at > promised_at, status is null or status not in ('delivered', 'completed'))
        and coalesce(cancelled_at > promised_at, status is null or status not in ('cancelled', 'returned'))
            as is_late,
        promised_at + interval 10 days as lost_at,
        coalesce(status, '') <> 'pending'
        and coalesce(delivered_at > lost_at, status is null or status not in ('delivered', 'completed'))
        and coalesce(cancelled_at > lost_at, status is null or status not in ('cancelled', 'returned'))
            as is_lost
    from recent
)
select 'order_paid' as rule, 1 as days, paid_at as occurred_at, * from late
where
    local_date(paid_at) >= getvariable('today') - 1 and not is_returned and not is_delivered
    and not coalesce(status in ('preparing', 'shipped'), false) and shipped_at is null
union all
select 'order_preparing', 1, coalesce(updated_at, paid_at) as moment, * from late
where
    status = 'preparing' and local_date(moment) >= getvariable('today') - 1
    and moment <= getvariable('as_of') and not is_returned and not is_delivered
    and shipped_at is null
union all
select 'order_shipped', 2, shipped_at, * from late
where local_date(shipped_at) >= getvariable('today') - 2 and not is_returned and not is_delivered
union all
select 'late_delivery', 1, promised_at, * from late
where
    is_late and promised_at <= getvariable('as_of')
    and local_date(promised_at) >= getvariable('today') - 1 and not is_returned and not is_delivered
union all
select 'lost_delivery', 2, lost_at, * from late
where
    is_lost and lost_at <= getvariable('as_of')
    and local_date(lost_at) >= getvariable('today') - 2 and not is_returned and not is_delivered;

-- -- candidates: one query per rule ------------------------------------------------------------
create temp table candidates as
with

registered as (
    select
        customer_id, 'consult_offer' as rule, 'registered' as occasion,
        local_date(registered_at) as came_up_on, registered_at as occurred_at,
        midnight(came_up_on + 4) as expires_at, due_at, '{}' as about
    from people
    inner join due on local_date(registered_at) = day and n = 1
    where
        came_up_on >= getvariable('today') - 3 and stage = 'prospect'
        and not coalesce(last_order_at > registered_at, false)
        and not coalesce(last_contacted_at > registered_at, false)
),

orders as (
    select
        customer_id, rule,
        case rule when 'late_delivery' then 'delivery_late' when 'lost_delivery' then 'delivery_lost' else rule end
        || ':' || order_id as occasion,
        local_date(occurred_at) as came_up_on, occurred_at,
        midnight(came_up_on + days + 1) as expires_at,
        if(rule = 'lost_delivery', occurred_at + interval 24 hours, expires_at) as due_at,
        json_merge_patch('{}', case
            when rule in ('late_delivery', 'lost_delivery') then json_object(
                'currency', currency,
                'days_late', if(promised_at <= getvariable('as_of'), getvariable('today') - local_date(promised_at), null),
                'order_amount', order_amount, 'order_id', order_id,
                'promised_on', local_date(promised_at)
            )
            when rule = 'order_paid' then json_object(
                'currency', currency, 'order_amount', order_amount, 'order_id', order_id
            )
            else json_object(
                'currency', currency, 'order_amount', order_amount, 'order_id', order_id,
                'promised_on', local_date(promised_at)
            )
        end)::varchar as about
    from order_events
    semi join people using (customer_id)
),

delivered as (
    select
        customer_id, 'delivery_follow_up' as rule, 'order_delivered:' || order_id as occasion,
        local_date(delivered_at) + 3 as came_up_on, delivered_at as occurred_at,
        midnight(came_up_on + 5) as expires_at, expires_at as due_at,
        json_merge_patch('{}', json_object(
            'currency', currency, 'order_amount', order_amount, 'order_id', order_id
        ))::varchar as about
    from recent
    inner join people as p using (customer_id)
    where
        local_date(delivered_at) between getvariable('today') - 7 and getvariable('today') - 3
        and not is_returned and not coalesce(p.open_tickets > 0, false)
        and not coalesce(p.last_contacted_at > delivered_at, false)
        and not coalesce(p.last_answered_at > delivered_at, false)
),

first_orders as (
    from recent
    where is_placed and is_new
    qualify row_number() over (partition by customer_id order by ordered_at, order_id) = 1
),

welcome as (
    select
        customer_id, 'welcome' as rule, 'first_order:' || order_id as occasion,
        local_date(ordered_at) as came_up_on, ordered_at as occurred_at,
        midnight(came_up_on + 4) as expires_at, expires_at as due_at,
        json_merge_patch('{}', json_object(
            'currency', currency, 'order_amount', order_amount, 'order_id', order_id
        ))::varchar as about
    from first_orders
    inner join people as p using (customer_id)
    where came_up_on >= getvariable('today') - 3 and not is_returned and segment = 'new'
),

last_orders as (
    select
        customer_id, order_id, ordered_at as occurred_at, local_date(ordered_at) as happened_on,
        json_merge_patch('{}', json_object(
            'currency', currency, 'order_amount', order_amount, 'order_id', order_id
        ))::varchar as about,
        segment, spend_rank, p.open_tickets, p.last_contacted_at
    from recent as r
    inner join people as p using (customer_id)
    where is_placed and ordered_at = r.last_order_at and coalesce(status <> 'returned', true) and segment = 'dormant'
    qualify row_number() over (partition by customer_id order by order_id desc) = 1
),

sleeping as (
    select
        customer_id, 'wake_up' as rule, 'last_order:' || order_id as occasion,
        (happened_on + interval 3 months)::date as came_up_on, occurred_at,
        midnight(happened_on + 121) as expires_at, expires_at as due_at, about
    from last_orders
    where
        came_up_on <= getvariable('today') and happened_on >= getvariable('today') - 120
        and not coalesce(open_tickets > 0, false)
    union all
    select
        customer_id, 'wake_up_call', 'last_order:' || order_id,
        (happened_on + interval 4 months)::date as came_up, occurred_at,
        midnight(happened_on + 151), due_at, about
    from last_orders
    inner join due on (happened_on + interval 4 months)::date = day and n = 3
    where
        came_up <= getvariable('today') and happened_on >= getvariable('today') - 150
        and spend_rank >= 0.8 and not coalesce(last_contacted_at > occurred_at, false)
),

tickets as (
    select
        customer_id, 'solved_questionnaire' as rule,
        'ticket_solved:' || ticket_id || ':' || local_date(resolved_at) as occasion,
        local_date(resolved_at) as came_up_on, resolved_at as occurred_at,
        midnight(came_up_on + 4) as expires_at, expires_at as due_at,
        json_object('ticket_id', ticket_id)::varchar as about
    from staging.stg_tickets
    inner join people as p using (customer_id)
    where
        local_date(resolved_at) >= getvariable('today') - 3
        and not coalesce(p.open_tickets > 0, false)
        and not coalesce(p.last_answered_at > resolved_at, false)
),

carts as (
    select
        customer_id, 'abandoned_cart' as rule, 'cart_abandoned:' || interaction_id as occasion,
        local_date(occurred_at + interval 2 hours) as came_up_on, occurred_at,
        midnight(local_date(occurred_at) + 3) as expires_at, expires_at as due_at,
        json_merge_patch('{}', json_object(
            'category', category, 'product_id', product_id, 'product_name', name
        ))::varchar as about
    from (
        select customer_id, interaction_id, i.occurred_at, product_id
        from staging.stg_interactions as i
        inner join people as p using (customer_id)
        where
            kind = 'cart_abandon' and i.occurred_at >= midnight(getvariable('today') - 2)
            and i.occurred_at + interval 2 hours <= getvariable('as_of')
            and not coalesce(p.last_order_at > i.occurred_at, false)
        qualify row_number() over (
            partition by customer_id order by i.occurred_at desc, 'cart_abandoned:' || interaction_id desc
        ) = 1
    )
    left join intermediate.int_products using (product_id)
),

referrals as (
    select
        r.referrer_id as customer_id, 'referral_thanks' as rule,
        'referral_converted:' || referral_id as occasion,
        local_date(converted_at) as came_up_on, converted_at as occurred_at,
        midnight(came_up_on + 8) as expires_at, expires_at as due_at,
        json_object('referral_id', referral_id)::varchar as about
    from staging.stg_referrals as r
    semi join people as p on r.referrer_id = p.customer_id
    where
        local_date(converted_at) >= getvariable('today') - 7
        and referrer_id is distinct from referred_id
),

points as (
    select
        customer_id, 'points_expiring' as rule, 'points_expiring:' || next_expiry_on as occasion,
        next_expiry_on - 59 as came_up_on, midnight(came_up_on) as occurred_at,
        midnight(came_up_on + 31) as expires_at, expires_at as due_at,
        json_object('expires_on', next_expiry_on, 'points', expiring)::varchar as about
    from intermediate.int_customer_points
    semi join people using (customer_id)
    where expiring > 0 and next_expiry_on - 59 between getvariable('today') - 30 and getvariable('today')
),

replacements as (
    select
        customer_id, 'maintenance' as rule,
        'replacement_due:' || product_id || ':' || due_on as occasion,
        due_on - 14 as came_up_on, midnight(came_up_on) as occurred_at,
        midnight(came_up_on + 15) as expires_at, expires_at as due_at,
        json_merge_patch('{}', json_object(
            'category', i.category, 'due_on', due_on, 'product_id', product_id, 'product_name', i.name
        ))::varchar as about
    from marts.fct_replacements_due as d
    inner join people as p using (customer_id)
    left join intermediate.int_products as i using (product_id)
    where
        due_on - 14 between getvariable('today') - 14 and getvariable('today')
        and not coalesce(p.last_order_at > midnight(due_on - 14), false)
),

birthdays as (
    select
        customer_id, if(segment = 'core', 'birthday_core', 'birthday') as rule,
        'birthday:' || year(day) as occasion, day as came_up_on, null::timestamp as occurred_at,
        midnight(day + 1) as expires_at, expires_at as due_at,
        json_merge_patch('{}', json_object(
            'occasion_on', day,
            'years', if(year(day) - year(birthday) between 1 and 119, year(day) - year(birthday), null)
        ))::varchar as about
    from people
    inner join (select getvariable('today') as day)
        on month(birthday) * 100 + day(birthday) = month(day) * 100 + day(day)
        or (
            month(birthday) * 100 + day(birthday) = 229 and month(day) * 100 + day(day) = 228
            and month(day + 1) = 3
        )
    where segment in ('core', 'potential', 'new', 'dormant')
),

members as (
    select
        customer_id, 'membership_anniversary' as rule, 'membership:' || year(day) as occasion,
        day as came_up_on, null::timestamp as occurred_at, midnight(day + 3) as expires_at,
        expires_at as due_at,
        json_object('occasion_on', day, 'years', year(day) - year(member_since))::varchar as about
    from people
    inner join (
        select unnest([getvariable('today') - 2, getvariable('today') - 1, getvariable('today')])::date as day
    )
        on month(member_since) * 100 + day(member_since) = month(day) * 100 + day(day)
        or (
            month(member_since) * 100 + day(member_since) = 229 and month(day) * 100 + day(day) = 228
            and month(day + 1) = 3
        )
    where year(day) - year(member_since) >= 1
),

festivals as (
    select
        customer_id, rule, f.occasion || ':' || date as occasion, date - before as came_up_on,
        null::timestamp as occurred_at, midnight(came_up_on + days) as expires_at,
        expires_at as due_at, json_object('occasion_on', date)::varchar as about
    from (values
        ('spring_festival', 'spring_festival', 1, 2, ['core', 'potential', 'new', 'dormant']),
        ('mid_autumn', 'mid_autumn', 0, 1, ['core', 'potential', 'new', 'dormant']),
        ('occasion_618', '618', 3, 4, ['core', 'potential', 'new']),
        ('double_11', 'double_11', 3, 4, ['core', 'potential', 'new']),
        ('new_products_first', 'launch', 3, 3, ['core'])
    ) as f (rule, occasion, before, days, segments)
    inner join program.occasion_days as d
        on f.occasion = d.occasion
        and date - before between getvariable('today') - days + 1 and getvariable('today')
    inner join people on list_contains(segments, segment)
),

entered as (
    select
        customer_id, e.rule, kind || ':' || value || ':' || since as occasion, since as came_up_on,
        null::timestamp as occurred_at, midnight(since + days) as expires_at,
        case hours when 24 then midnight(since) + interval 24 hours when 3 then due_at else expires_at end as due_at,
        '{"' || key || '":"' || value || '"}' as about
    from (
        select
            customer_id, if(segment = 'core', 'core_welcome', 'repurchase_incentive') as rule,
            'segment' as kind, 'segment' as key, segment as value, segment_entered_on as since,
            7 as days, if(segment = 'core', 3, null) as hours
        from people where segment in ('core', 'potential') and segment_entered_on > getvariable('today') - 7
        union all
        select customer_id, 'tier_reached', 'tier', 'tier', tier, tier_entered_on, 7, null
        from people where tier in ('silver', 'gold') and tier_entered_on between getvariable('today') - 6 and getvariable('today')
        union all
        select
            customer_id, 'win_back_' || churn_level, 'alert_level', 'level', churn_level,
            level_entered_on, 3, if(churn_level = 'low', null, 24)
        from people where level_entered_on > getvariable('today') - 3 and churn_level in ('low', 'medium', 'high')
    ) as e
    left join due on e.since = day and n = 3
),

turns as (
    select
        customer_id, segment, churn_risk, spend_long_rank,
        getvariable('today') - date '1970-01-01' as today_no,
        date_trunc('month', getvariable('today'))::date as month,
        (date_trunc('quarter', getvariable('today'))
        - if(quarter(getvariable('today')) in (2, 4), interval 3 months, interval 0 months))::date as half,
        (today_no + 14 - draw('turn|recommendation|' || customer_id) % 14) % 14 as fortnight_age
    from people
    where segment in ('core', 'potential', 'new')
),

cadences as (
    select
        customer_id, rule, 'turn:' || since as occasion, since as came_up_on,
        null::timestamp as occurred_at, midnight(since + days) as expires_at,
        coalesce(due_at, midnight(since + days)) as due_at, about
    from (
        select
            customer_id, 'recommendation' as rule, getvariable('today') - fortnight_age::integer as since,
            3 as days, null as workdays,
            json_merge_patch('{}', json_object(
                'category', category, 'product_id', product_id, 'product_name', product_name
            ))::varchar as about
        from turns
        inner join next_products using (customer_id)
        where fortnight_age < 3
        union all
        select
            customer_id, 'useful_content',
            if(month + o <= getvariable('today'), month + o, (month - interval 1 month)::date + o) as since,
            3, null, '{}'
        from (select *, (draw('turn|useful_content|' || customer_id) % 28)::integer as o from turns)
        where since > getvariable('today') - 3
        union all
        select
            customer_id, 'core_contact',
            if(month + o <= getvariable('today'), month + o, (month - interval 1 month)::date + o) as since,
            7, 5, '{}'
        from (select *, (draw('turn|core_contact|' || customer_id) % 28)::integer as o from turns where segment = 'core')
        where since > getvariable('today') - 7
        union all
        select
            customer_id, 'core_interview',
            if(half + o <= getvariable('today'), half + o, (half - interval 6 months)::date + o) as since,
            14, 10, '{}'
        from (select *, (draw('turn|core_interview|' || customer_id) % 168)::integer as o from turns where segment = 'core')
        where since > getvariable('today') - 14
        union all
        select
            customer_id, 'potential_survey',
            if(half + o <= getvariable('today'), half + o, (half - interval 6 months)::date + o) as since,
            7, null, '{}'
        from (select *, (draw('turn|potential_survey|' || customer_id) % 168)::integer as o from turns where segment = 'potential')
        where since > getvariable('today') - 7
    )
    left join due on since = day and workdays = n
),

exclusive as (
    select
        customer_id, 'exclusive_offer' as rule,
        'turn:' || if(half + o <= getvariable('today'), half + o, (half - interval 6 months)::date + o) as occasion,
        getvariable('today') as came_up_on, null::timestamp as occurred_at,
        midnight(getvariable('today') + 7) as expires_at, expires_at as due_at, '{}' as about
    from (
        select *, (draw('turn|exclusive_offer|' || customer_id) % 168)::integer as o
        from turns
        where churn_risk >= 0.7 and spend_long_rank >= 0.8 and segment in ('core', 'potential')
    )
)

from registered union all from orders union all from delivered union all from welcome
union all from sleeping union all from tickets union all from carts union all from referrals
union all from points union all from replacements union all from birthdays union all from members
union all from festivals union all from entered union all from cadences union all from exclusive;

-- -- what was sent before, who said no, who is left in peace -------------------------------------
create temp table contacts as
select
    m.decision_key, m.customer_id, m.rule, m.purpose, m.channel, m.cap_group, m.as_of,
    case
        when e.sent_at is not null then local_date(e.sent_at)
        when e.message_id is null then greatest(m.contact_on, getvariable('today'))
        else m.contact_on
    end as contact_on,
    coalesce(m.is_cap_exempt, false) as is_cap_exempt,
    not coalesce(e.came_to_nothing, false) as is_contact,
    not coalesce(e.was_withdrawn, false) as is_decided
from ledger.messages as m
left join (
    select
        message_id,
        bool_or(state in ('cancelled', 'expired', 'suppressed')) as was_withdrawn,
        bool_or(state in ('cancelled', 'expired', 'suppressed', 'failed')) as came_to_nothing,
        min(at_utc) filter (where state in ('sent', 'unknown')) as sent_at
    from ledger.events
    where
        state in ('cancelled', 'expired', 'suppressed', 'failed', 'sent', 'unknown')
        and at_utc <= getvariable('as_of')
    group by message_id
) as e using (message_id)
where m.as_of < getvariable('as_of');

create temp table consents as
with said as (
    select customer_id, purpose, channel, changed_at, if(is_granted, 0, 1) as refused
    from staging.stg_consents
    union all
    select f.customer_id, p.purpose, f.channel, f.at_utc, 1
    from ledger.feedback as f
    left join ledger.messages as m using (message_id)
    inner join (values ('service'), ('care'), ('marketing'), ('survey')) as p (purpose)
        on m.purpose = p.purpose or (m.purpose is null and p.purpose <> 'service')
    where
        f.kind = 'unsubscribe' and f.at_utc <= getvariable('as_of')
        and coalesce(f.received_at, f.at_utc) <= getvariable('as_of')
),
latest as (
    select customer_id, purpose, channel, max({'changed_at': changed_at, 'refused': refused}) as last
    from said
    group by all
)
select
    customer_id, purpose, sum(if(last.refused = 0, bit, 0))::integer as granted,
    sum(if(last.refused = 1, bit, 0))::integer as refused, max(last.changed_at) as changed_at
from latest
inner join channels using (channel)
group by all;

create temp table suppressed as
with reasons as (
    select distinct customer_id, p.purpose, bit, reason
    from ledger.suppressions as s
    inner join (values ('service'), ('care'), ('marketing'), ('survey')) as p (purpose)
        on s.purpose in ('*', p.purpose)
    inner join channels as c on s.channel in ('*', c.channel)
    where at_utc <= getvariable('as_of') and (lifted_at is null or lifted_at > getvariable('as_of'))
    union all
    select distinct customer_id, p.purpose, bit, 'open complaint'
    from staging.stg_tickets
    cross join (values ('marketing'), ('survey')) as p (purpose)
    cross join (select unnest([1, 2, 4, 8, 16, 32]) as bit)
    where kind = 'complaint' and is_open and customer_id is not null
)
select
    customer_id, purpose, bit_or(bit)::integer as bits, string_agg(distinct reason, ', ' order by reason) as reasons
from reasons
group by all;

create temp table freshness as
with ages as (
    select
        unnest(blocked) as purpose, number, entity, days,
        (epoch_us(getvariable('as_of')) - epoch_us(max(loaded_at))) / 1000000 / 86400.0 as age
    from run.batches
    inner join (values
        (1, 'customers', 7, ['care', 'marketing', 'survey']), (2, 'orders', 3, ['care', 'marketing', 'survey']),
        (3, 'consents', 2, ['marketing', 'survey']), (4, 'tickets', 2, ['marketing', 'survey']),
        (5, 'interactions', 7, ['marketing'])
    ) as f (number, entity, days, blocked) using (entity)
    group by number, entity, days, blocked
)
select
    p.purpose, coalesce(bool_and(age <= days), true) as is_fresh,
    string_agg(
        if(age > days, entity || ' is ' || age::decimal(9, 1) || ' days old, at most ' || days || 'd', null),
        '; ' order by number
    ) as stale,
    '{' || coalesce(string_agg('"' || entity || '": ' || age::decimal(9, 1), ', ' order by number), '') || '}' as ages
from (values ('service'), ('care'), ('marketing'), ('survey')) as p (purpose)
left join ages using (purpose)
group by all;

-- -- the gates up to quiet hours -----------------------------------------------------------------
create temp table gated as
with

permitted as (
    select
        c.*, md5(c.rule || '|' || c.customer_id || '|' || c.occasion) as decision_key,
        r.* exclude (rule, preference), p.segment, p.stage, p.churn_level, p.locale, p.account_manager_id,
        p.predicted_value, p.preferred_channel, p.preferred_time_from,
        asked & reach as reached,
        reached & coalesce(k.refused, 0) as refused,
        reached & if(r.purpose = 'marketing', coalesce(k.granted, 0), 63 - coalesce(k.refused, 0)) as allowed,
        k.changed_at as consent_changed_at,
        asked & coalesce(s.bits, 0) as suppressed,
        allowed & (63 - suppressed) as left_over,
        s.reasons as suppression_reasons,
        -- Everything waits for 9:00, calls for a working day.
        if(getvariable('call_on') > getvariable('today'), left_over & 61, left_over) as today_bits,
        getvariable('as_of') + interval 9 hours as opens_at,
        midnight(getvariable('call_on')) + interval 9 hours as call_at
    from candidates as c
    inner join rules as r using (rule)
    inner join people as p using (customer_id)
    left join consents as k on c.customer_id = k.customer_id and r.purpose = k.purpose
    left join suppressed as s on c.customer_id = s.customer_id and r.purpose = s.purpose
),

timed as (
    select
        *,
        if(opens_at < expires_at, today_bits, 0) as usable_today,
        if(call_at < expires_at, left_over & 2, 0) | usable_today as usable,
        case
            when usable_today <> 0 then usable_today
            when usable <> 0 then usable
            when today_bits <> 0 then today_bits
            else left_over
        end as eligible
    from permitted
),

chosen as (
    select
        t.*,
        if(own.bit & eligible <> 0, preferred_channel, f.first_channel) as channel,
        case
            when left_over = 0 then null
            when usable = 0 then 'expired'
            when usable_today = 0 then 'later'
            else 'today'
        end as timing,
        case
            when left_over = 0 then null
            when channel = 'call' and getvariable('call_on') > getvariable('today') then 'working days only'
            else 'quiet hours'
        end as waits_for,
        case when channel = 'call' then call_at when channel is not null then opens_at end as slot_at,
        if(channel = 'call', getvariable('call_on'), getvariable('today')) as slot_on,
        d.decided_as_of, l.last_contact_on, (l.last_contact_on + pause)::date as cool_on, fr.is_fresh
    from timed as t
    inner join freshness as fr using (purpose)
    left join (select channel as own_channel, bit from channels) as own
        on t.preferred_channel = own.own_channel
    left join firsts as f on t.rule = f.rule and t.eligible = f.bits
    left join (
        select decision_key, max(as_of) as decided_as_of
        from (
            select decision_key, as_of from contacts where is_decided
            union all
            select decision_key, as_of from ledger.exposures
            where arm = 'holdout' and as_of < getvariable('as_of')
        )
        group by all
    ) as d using (decision_key)
    left join (
        select customer_id, rule, max(contact_on) as last_contact_on
        from contacts where is_contact group by all
    ) as l on t.customer_id = l.customer_id and t.rule = l.rule
),

early as (
    select
        *,
        case
            when reached = 0 then 'reachable'
            when not is_fresh then 'fresh'
            when allowed = 0 then 'consent'
            when left_over = 0 then 'suppression'
            when decided_as_of is not null then 'reentry'
            when cool_on > getvariable('today') then 'cooldown'
        end as early_gate
    from chosen
),

-- Of two occasions of a rule with a cooldown one goes.
twice as (
    select
        decision_key,
        row_number() over (
            partition by customer_id, rule
            order by list_position(['today', 'later'], timing) nulls last, came_up_on, decision_key
        ) as place
    from early
    where early_gate is null and cooldown is not null
),

drawn as (
    select
        e.*, coalesce(w.place > 1, false) as waits_for_another,
        if(waits_for_another, 'cooldown', early_gate) as gate_before,
        gate_before is null as reached_holdout,
        reached_holdout and purpose <> 'service' as in_test,
        if(in_test, draw('retail_care_1|' || customer_id) / 4294967296.0::double, null) as program_draw,
        if(in_test and share > 0, draw('retail_care_1|' || e.rule || '|' || customer_id) / 4294967296.0::double, null) as rule_draw,
        case when program_draw < 0.05 then 'program' when rule_draw < share then 'rule' end as holdout_scope
    from early as e
    left join (from twice where place > 1) as w using (decision_key)
)

select
    * exclude (preferred_channel, opens_at, call_at, today_bits, usable_today, usable, eligible),
    case
        when
            preferred_time_from >= '09:00' and preferred_time_from < '21:00'
            and midnight(slot_on) + to_minutes(left(preferred_time_from, 2)::integer * 60 + right(preferred_time_from, 2)::integer)
            between slot_at + interval 1 microsecond and least(expires_at, due_at) - interval 1 microsecond
            then midnight(slot_on) + to_minutes(left(preferred_time_from, 2)::integer * 60 + right(preferred_time_from, 2)::integer)
        else slot_at
    end as not_before,
    case
        when gate_before is not null then gate_before
        when holdout_scope is not null then 'holdout'
        when timing <> 'today' then 'quiet_hours'
    end as gate
from drawn;

-- -- caps: one a day, so the first that is free of the others goes and the rest are refused --------
create temp table capped as
with

counts as (
    select
        customer_id,
        count(*) filter (where contact_on > getvariable('today') - 1) as day_before,
        count(*) filter (where contact_on > getvariable('today') - 7 and purpose = 'marketing') as week_before,
        count(*) filter (where contact_on > getvariable('today') - interval 1 month and channel = 'sms') as month_before,
        count(*) filter (where contact_on > getvariable('today') - 14 and cap_group = 'win_back') as fortnight_before
    from contacts
    where is_contact and not is_cap_exempt
    group by all
),

asked as (
    select
        decision_key, customer_id, priority, came_up_on,
        purpose = 'marketing' as is_week, channel = 'sms' as is_month,
        coalesce(cap_group = 'win_back', false) as is_fortnight,
        coalesce(day_before, 0) as day, coalesce(week_before, 0) as week, coalesce(month_before, 0) as month,
        coalesce(fortnight_before, 0) as fortnight,
        day < 1 and not (is_week and week >= 2) and not (is_month and month >= 4)
        and not (is_fortnight and fortnight >= 1) as is_free
    from gated
    left join counts using (customer_id)
    where gate is null and purpose <> 'service'
),

ranked as (
    select
        *,
        row_number() over (
            partition by customer_id order by priority desc, came_up_on, decision_key
        ) as place
    from asked
),

winners as (
    select
        customer_id, min(place) as first_place,
        arg_min({'week': is_week, 'month': is_month, 'fortnight': is_fortnight}, place) as counted
    from ranked
    where is_free
    group by customer_id
),

used as (
    select
        decision_key, customer_id, is_week, is_month, is_fortnight,
        coalesce(place = first_place, false) as is_accepted,
        coalesce(place > first_place, false) as is_after,
        day + is_after::integer as day,
        week + (is_after and counted.week)::integer as week,
        month + (is_after and counted.month)::integer as month,
        fortnight + (is_after and counted.fortnight)::integer as fortnight
    from ranked
    left join winners using (customer_id)
),

-- A cap has room again when the contact that fills it has left its window.
contacts_now as (
    select
        customer_id, contact_on, purpose = 'marketing' as is_week, channel = 'sms' as is_month,
        coalesce(cap_group = 'win_back', false) as is_fortnight
    from contacts
    where is_contact and not is_cap_exempt and contact_on > getvariable('today') - interval 1 month
    union all
    select customer_id, getvariable('today'), counted.week, counted.month, counted.fortnight
    from winners
),

releases as (
    select
        decision_key,
        greatest(
            getvariable('today') + 1,
            max(contact_on) filter (where contact_on >= getvariable('today')) + 1,
            (max(contact_on, 2) filter (where r.is_week and c.is_week and contact_on > getvariable('today') - 7))[2] + 7,
            (max(contact_on, 4) filter (where r.is_month and c.is_month))[4] + interval 1 month,
            (max(contact_on) filter (where r.is_fortnight and c.is_fortnight and contact_on > getvariable('today') - 14)) + 14
        )::date as free_on
    from used as r
    inner join contacts_now as c using (customer_id)
    where not is_accepted
    group by decision_key
)

select
    u.*, r.free_on,
    if(is_accepted, null, substr(
        if(day >= 1, '; one_a_day: ' || day || ' of at most 1 in 1d', '')
        || if(is_week and week >= 2, '; marketing_week: ' || week || ' of at most 2 in 1w', '')
        || if(is_month and month >= 4, '; sms_month: ' || month || ' of at most 4 in 1mo', '')
        || if(is_fortnight and fortnight >= 1, '; win_back_fortnight: ' || fortnight || ' of at most 1 in 2w', ''), 3
    )) as full_caps,
    '{"one_a_day": {"used": ' || day || ', "most": 1, "per": "1d"}'
    || if(is_week, ', "marketing_week": {"used": ' || week || ', "most": 2, "per": "1w"}', '')
    || if(is_month, ', "sms_month": {"used": ' || month || ', "most": 4, "per": "1mo"}', '')
    || if(is_fortnight, ', "win_back_fortnight": {"used": ' || fortnight || ', "most": 1, "per": "2w"}', '')
    || '}' as caps_json
from used as u
left join releases as r using (decision_key);

-- -- decisions -----------------------------------------------------------------------------------
create temp table concluded as
select
    g.*, c.free_on, c.full_caps,
    if(gate is null, coalesce(c.is_accepted, true), null) as is_accepted,
    if(gate is null, coalesce(c.caps_json, '{}'), null) as caps_json,
    coalesce(gate, if(c.is_accepted = false, 'caps', null)) as first_gate,
    who is not null or coalesce(channel in ('call', 'visit'), false) as is_task,
    case
        when first_gate is null and is_task then 'task'
        when first_gate is null then 'send'
        when first_gate = 'holdout' then 'withheld'
        when first_gate = 'quiet_hours' and timing = 'later' then 'deferred'
        when first_gate = 'quiet_hours' and timing = 'expired' then 'expired'
        else 'blocked'
    end as outcome
from gated as g
left join capped as c using (decision_key);

create or replace table script.fct_care_decisions as
with outbox as (
    select
        decision_key,
        row_number() over (
            order by priority desc, predicted_value desc nulls last, came_up_on, decision_key
        ) as order_no
    from concluded
    where outcome in ('send', 'task')
)
select
    decision_key, customer_id, rule, occasion, came_up_on, occurred_at, c.purpose,
    if(is_task, 'task', 'send') as kind, outcome, first_gate as gate,
    case first_gate
        when 'reachable' then 'no address for ' || asked.words
        when 'fresh' then f.stale
        when 'consent' then if(
            c.refused <> 0,
            'said no to ' || c.purpose || ' on ' || refused.words || ', last change on ' || local_date(consent_changed_at),
            c.purpose || ' needs a yes; there is none for ' || reached.words
        )
        when 'suppression' then suppressed.words || ' not to be used: ' || suppression_reasons
        when 'reentry' then 'decided before, on ' || local_date(decided_as_of)
        when 'cooldown' then if(
            cool_on > getvariable('today'),
            'last contact by this rule on ' || last_contact_on || ', at least ' || cooldown || ' between two',
            'another occasion of this rule goes first, at least ' || cooldown || ' between two'
        )
        when 'holdout' then 'left alone for comparison (' || holdout_scope || ')'
        when 'quiet_hours' then if(
            timing = 'expired',
            'the first time allowed (' || waits_for || ') is ' || iso(slot_at) || ', it expires at ' || iso(expires_at),
            waits_for || ': not before ' || slot_on
        )
        when 'caps' then full_caps
    end as gate_reason,
    case
        when first_gate = 'cooldown' and cool_on > getvariable('today') then cool_on
        when first_gate = 'cooldown' then getvariable('today') + 1
        when outcome = 'deferred' then slot_on
        when first_gate = 'caps' then free_on
    end as eligible_on,
    channel, template, coalesce(locale, 'zh-CN') as locale, offer,
    coalesce(local_date(not_before), getvariable('today')) + valid_days as offer_until,
    if(is_task, coalesce(who, 'service'), null) as owner_role,
    if(is_task and who = 'account_manager', account_manager_id, null) as owner_id,
    if(is_task, due_at, null) as due_at, not_before, expires_at, local_date(not_before) as contact_on,
    priority, order_no,
    if(in_test, if(holdout_scope is null, 'treated', 'holdout'), null) as arm, holdout_scope,
    if(in_test, 1 - (1 - 0.05::double) * (1 - share::double), null) as holdout_share, reached_holdout,
    c.purpose = 'service' as is_cap_exempt, cap_group, about,
    '{"reachable": {"ok": ' || flag(c.reached <> 0) || ', "asked": ' || asked.json
    || ', "reached": ' || reached.json
    || '}, "fresh": {"ok": ' || flag(f.is_fresh) || ', "age_days": ' || f.ages
    || '}, "consent": {"ok": ' || flag(c.allowed <> 0) || ', "policy": "'
    || if(c.purpose = 'marketing', 'opt_in', 'opt_out') || '", "allowed": ' || allowed.json
    || ', "refused": ' || refused.json || ', "changed_on": ' || quoted(local_date(consent_changed_at))
    || '}, "suppression": {"ok": ' || flag(c.left_over <> 0) || ', "suppressed": ' || suppressed.json
    || ', "reasons": ' || quoted(suppression_reasons) || ', "left": ' || left_over.json
    || '}, "reentry": {"ok": ' || flag(decided_as_of is null) || ', "decided_on": ' || quoted(local_date(decided_as_of))
    || '}, "cooldown": {"ok": ' || flag(not waits_for_another and coalesce(cool_on <= getvariable('today'), true))
    || ', "cooldown": ' || quoted(cooldown) || ', "last_contact_on": ' || quoted(last_contact_on)
    || ', "waits_for_another": ' || flag(waits_for_another)
    || '}, "holdout": ' || case
        when in_test
            then '{"ok": ' || flag(holdout_scope is null) || ', "program_draw": ' || program_draw::decimal(9, 6)
                || ', "program_share": 0.05, "rule_draw": ' || coalesce(rule_draw::decimal(9, 6)::varchar, 'null')
                || ', "rule_share": ' || share::decimal(9, 6) || '}'
        when reached_holdout then '{"ok": true}'
        else 'null'
    end
    || ', "quiet_hours": ' || if(
        timing is null, 'null',
        '{"ok": ' || flag(timing = 'today') || ', "channel": ' || quoted(channel) || ', "waits_for": ' || quoted(waits_for)
        || ', "first_at": ' || quoted(iso(slot_at)) || ', "not_before": ' || quoted(iso(not_before))
        || ', "expires_at": ' || quoted(iso(expires_at)) || '}'
    )
    || ', "caps": ' || if(
        is_accepted is null, 'null',
        '{"ok": ' || flag(is_accepted) || ', "exempt": ' || flag(c.purpose = 'service') || ', "caps": ' || caps_json || '}'
    )
    || '}' as gates,
    segment, stage, churn_level, getvariable('as_of') as as_of, getvariable('today') as as_of_on
from concluded as c
left join outbox using (decision_key)
inner join freshness as f on c.purpose = f.purpose
inner join sets as asked on c.asked = asked.bits
inner join sets as reached on c.reached = reached.bits
inner join sets as refused on c.refused = refused.bits
inner join sets as allowed on c.allowed = allowed.bits
inner join sets as suppressed on c.suppressed = suppressed.bits
inner join sets as left_over on c.left_over = left_over.bits;
