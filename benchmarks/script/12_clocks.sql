-- Service clocks of the pack service_desk: who wrote this knows its six clocks, its zone (no
-- daylight saving) and that every day has one working time.

create temp table tickets as
select
    ticket_id, customer_id, opened_at, kind, urgency, touchpoint, channel, department, owner_id,
    if(automatic_response_at <= getvariable('as_of'), automatic_response_at, null) as automatic_at,
    if(acknowledged_at <= getvariable('as_of'), acknowledged_at, null) as acknowledged_at,
    if(first_response_at <= getvariable('as_of'), first_response_at, null) as first_response_at,
    if(resolved_at <= getvariable('as_of'), resolved_at, null) as resolved_at,
    if(closed_at <= getvariable('as_of'), closed_at, null) as closed_at
from raw.tickets
where opened_at <= getvariable('as_of');

-- Working seconds before each local day, and the day's working time in UTC.
create temp table days as
select
    c.date as day, w.opens_at - interval 8 hours as opens_at,
    w.closes_at - interval 8 hours as closes_at,
    coalesce(date_diff('second', w.opens_at, w.closes_at), 0) as seconds,
    (sum(coalesce(date_diff('second', w.opens_at, w.closes_at), 0)) over (order by c.date)
        - coalesce(date_diff('second', w.opens_at, w.closes_at), 0))::bigint as worked_before
from program.calendar_days as c
left join program.work_intervals as w using (date);

-- Status periods.
create temp table statuses as
with events as (
    select e.ticket_id, e.status, greatest(e."at", t.opened_at) as from_at
    from raw.ticket_events as e
    inner join tickets as t using (ticket_id)
    where e."at" <= getvariable('as_of')
),
entries as (
    select ticket_id, 'open' as status, opened_at as from_at from tickets
    union all
    from events
    union all
    select ticket_id, 'solved', greatest(resolved_at, opened_at)
    from tickets
    where
        resolved_at is not null
        and ticket_id not in (select ticket_id from events where status = 'solved')
    union all
    select ticket_id, 'closed', greatest(closed_at, opened_at)
    from tickets
    where
        closed_at is not null
        and ticket_id not in (select ticket_id from events where status = 'closed')
)
select
    ticket_id, status, from_at,
    lead(from_at) over (
        partition by ticket_id
        order by
            from_at,
            case status
                when 'open' then 1 when 'pending' then 2 when 'on_hold' then 3
                when 'solved' then 4 else 5
            end
    ) as until_at
from entries
qualify until_at is null or until_at > from_at;

-- When it was first solved, and since when it is.
create temp table solved as
select
    ticket_id,
    min(from_at) filter (status in ('solved', 'closed')) as first_at,
    if(
        arg_max(status, from_at) in ('solved', 'closed'),
        coalesce(
            max(until_at) filter (status not in ('solved', 'closed')), min(from_at)
        ),
        null
    ) as since
from statuses
group by ticket_id;

-- Segment, stage and tier of the customer when the ticket was opened.
create temp table standings as
with changes as (
    select customer_id, dimension, from_value, to_value, as_of as changed_at, 1 as change_no
    from marts.fct_customer_changes
    where dimension in ('segment', 'stage')
    union all
    select
        customer_id, 'tier', from_tier, tier, changed_on::timestamp - interval 8 hours, change_no
    from marts.fct_customer_tier_changes
),
ordered as (
    select
        *,
        lead(changed_at) over w as until_at,
        row_number() over w as place
    from changes
    window w as (partition by customer_id, dimension order by changed_at, change_no)
)
select customer_id, dimension, to_value as value, changed_at as from_at, until_at
from ordered
where until_at is null or until_at > changed_at
union all
select customer_id, dimension, coalesce(from_value, to_value), null, changed_at
from ordered
where place = 1;

create temp table described as
select
    t.*,
    if(s.customer_id is null, today.segment, s.value) as segment,
    if(g.customer_id is null, today.stage, g.value) as stage,
    if(r.customer_id is null, loyalty.tier, r.value) as tier,
    least(t.first_response_at, solved.first_at) as answered_at,
    solved.since as solved_since
from tickets as t
inner join solved using (ticket_id)
left join (from standings where dimension = 'segment') as s
    on
        t.customer_id = s.customer_id
        and (s.from_at is null or s.from_at <= t.opened_at)
        and (s.until_at is null or s.until_at > t.opened_at)
left join (from standings where dimension = 'stage') as g
    on
        t.customer_id = g.customer_id
        and (g.from_at is null or g.from_at <= t.opened_at)
        and (g.until_at is null or g.until_at > t.opened_at)
left join (from standings where dimension = 'tier') as r
    on
        t.customer_id = r.customer_id
        and (r.from_at is null or r.from_at <= t.opened_at)
        and (r.until_at is null or r.until_at > t.opened_at)
left join intermediate.int_customer_segments as today on t.customer_id = today.customer_id
left join intermediate.int_customer_loyalty as loyalty on t.customer_id = loyalty.customer_id;

-- Own messages that confirm a ticket, or ask how it went.
create temp table sent as
select m.occasion, min(e.at_utc) as sent_at
from ledger.messages as m
inner join ledger.events as e using (message_id)
where
    m.kind = 'send' and e.state = 'sent' and e.at_utc <= getvariable('as_of')
    and (m.occasion like 'ticket_opened:%' or m.occasion like 'ticket_solved:%')
group by m.occasion;

-- Each solution waits sixty days for a survey; a ticket that is reopened before has another.
create temp table told as
with turns as (
    select
        ticket_id, status in ('solved', 'closed') as is_done, from_at
    from statuses
    qualify is_done is distinct from lag(is_done) over (partition by ticket_id order by from_at)
),
solutions as (
    select
        ticket_id, is_done, from_at as solved_at,
        lead(from_at) over (partition by ticket_id order by from_at) as reopened_at
    from turns
),
numbered as (
    select
        ticket_id, solved_at, reopened_at,
        (row_number() over (partition by ticket_id order by solved_at))::integer as cycle
    from solutions
    where is_done
),
asked as (
    select ticket_id, asked_at
    from raw.surveys
    where ticket_id is not null and asked_at <= getvariable('as_of')
    union all
    select substring(occasion, 15, length(occasion) - 25), sent_at
    from sent
    where occasion like 'ticket_solved:%'
),
waited as (
    select
        n.ticket_id, n.cycle, n.solved_at,
        least(n.reopened_at, n.solved_at + interval 60 day) as over_at,
        min(a.asked_at) filter (a.asked_at >= n.solved_at) as asked_at
    from numbered as n
    left join asked as a using (ticket_id)
    group by all
)
select
    ticket_id, cycle, solved_at as started_at,
    if(asked_at <= over_at, asked_at, null) as stopped_at,
    if(
        coalesce(asked_at > over_at, true) and over_at <= getvariable('as_of'), over_at, null
    ) as ended_at
from waited;

-- The time in which a complaint or a suggestion waited for the customer or was solved for a while.
create temp table pauses as
with halts as (
    select
        t.ticket_id, t.opened_at, t.solved_since, s.from_at,
        least(s.until_at, t.solved_since) as until_at,
        s.status <> 'pending' as is_done
    from described as t
    inner join statuses as s using (ticket_id)
    where
        t.kind in ('complaint', 'suggestion')
        and s.status in ('pending', 'solved', 'closed')
        and (t.solved_since is null or s.from_at < t.solved_since)
),
measured as (
    select
        *,
        date_diff('second', opened_at, from_at) as passed,
        date_diff('second', from_at, coalesce(until_at, getvariable('as_of'))) as seconds
    from halts
)
select
    *,
    passed - coalesce((sum(seconds) over (
        partition by ticket_id order by from_at
        rows between unbounded preceding and 1 preceding
    ))::bigint, 0) as elapsed,
    coalesce(lag(until_at) over w = from_at and lag(is_done) over w = is_done, false) as goes_on,
    coalesce(lead(from_at) over w = until_at, false) as is_followed
from measured
window w as (partition by ticket_id order by from_at);

create temp table clocks as
with cases as (
    select
        d.ticket_id, c.clock, 1 as cycle, d.opened_at as started_at,
        case c.clock
            when 'automatic_answer'
                then least(d.automatic_at, d.acknowledged_at, r.sent_at, d.answered_at)
            when 'feedback_acknowledged' then least(d.acknowledged_at, r.sent_at, d.answered_at)
            when 'feedback_solved' then d.solved_since
            else d.answered_at
        end as stopped_at,
        null::timestamp as ended_at,
        c.seconds, c.is_business
    from described as d
    left join sent as r on r.occasion = 'ticket_opened:' || d.ticket_id
    inner join (values
        ('automatic_answer', 120, false), ('fault_answer', 86400, false),
        ('human_answer', 1800, true), ('feedback_acknowledged', 3600, false),
        ('feedback_solved', 86400, false)
    ) as c (clock, seconds, is_business)
        on case c.clock
            when 'automatic_answer'
                then d.channel in ('chat', 'wecom', 'app', 'mini_program', 'web')
            when 'fault_answer' then d.kind = 'fault'
            when 'human_answer' then d.kind is distinct from 'fault'
            else d.kind in ('complaint', 'suggestion')
        end
    union all
    select ticket_id, 'result_told', cycle, started_at, stopped_at, ended_at, 86400, false
    from told
),
ended as (
    select
        * replace (if(stopped_at is null, null, greatest(stopped_at, started_at)) as stopped_at),
        coalesce(stopped_at, ended_at, getvariable('as_of')) as last_at
    from cases
),
paused as (
    select
        ticket_id, sum(seconds)::bigint as seconds,
        coalesce(sum(seconds) filter (elapsed < 69120), 0)::bigint as before_warning,
        coalesce(sum(seconds) filter (elapsed < 86400), 0)::bigint as before_due,
        coalesce(sum(seconds) filter (elapsed <= 86400), 0)::bigint as before_breach,
        bool_or(until_at is null) as is_paused
    from pauses
    group by ticket_id
),
counted as (
    select
        e.*,
        coalesce(p.seconds, 0) as paused_seconds,
        coalesce(p.before_warning, 0) as before_warning,
        coalesce(p.before_due, 0) as before_due,
        coalesce(p.before_breach, 0) as before_breach,
        coalesce(p.is_paused, false) as is_paused,
        if(
            e.is_business,
            a.worked_before
            + least(greatest(date_diff('second', a.opens_at, e.started_at), 0), a.seconds),
            null
        ) as worked_from,
        if(
            e.is_business,
            b.worked_before
            + least(greatest(date_diff('second', b.opens_at, e.last_at), 0), b.seconds),
            null
        ) as worked_until
    from ended as e
    left join paused as p on e.ticket_id = p.ticket_id and e.clock = 'feedback_solved'
    left join days as a
        on e.is_business and (e.started_at + interval 8 hours)::date = a.day
    left join days as b
        on e.is_business and (e.last_at + interval 8 hours)::date = b.day
),
elapsed as (
    select
        *,
        if(
            is_business, worked_until - worked_from, date_diff('second', started_at, last_at)
        ) - paused_seconds as elapsed_seconds,
        case
            when elapsed_seconds > seconds then 'breached'
            when stopped_at is not null then 'met'
            when is_paused then 'paused'
            else 'running'
        end as state
    from counted
),
kept as (
    select * from elapsed
    where stopped_at is not null or ended_at is null or elapsed_seconds > seconds
),
calendar as (
    select
        k.* exclude (worked_from, worked_until),
        if(
            state = 'paused', null, started_at + to_seconds((seconds * 4 // 5) + before_warning)
        ) as warn_on_at,
        if(state = 'paused', null, started_at + to_seconds(seconds + before_due)) as due_at,
        if(
            state = 'breached', started_at + to_seconds(seconds + before_breach), null
        ) as breached_at
    from kept as k
    where not is_business
),
-- The end of a working time is before the beginning of the next.
business as (
    select
        k.* exclude (worked_from, worked_until),
        w.opens_at + to_seconds(worked_from + 1440 - w.worked_before) as warn_on_at,
        d.opens_at + to_seconds(worked_from + 1800 - d.worked_before) as due_at,
        if(
            state = 'breached',
            x.opens_at + to_seconds(worked_from + 1800 - x.worked_before),
            null
        ) as breached_at
    from kept as k
    asof left join days as w on k.worked_from + 1440 > w.worked_before
    asof left join days as d on k.worked_from + 1800 > d.worked_before
    asof left join days as x on k.worked_from + 1800 >= x.worked_before
    where is_business
)
from calendar
union all
from business;

create table script.fct_ticket_clocks as
select
    c.ticket_id, c.clock, n.clock_en, n.clock_zh, c.cycle, d.customer_id, d.opened_at, d.kind,
    d.urgency, d.touchpoint, d.channel, d.segment, d.stage, d.tier, d.department, d.owner_id,
    c.clock as target_key, if(c.is_business, 'business', 'calendar') as clock_type, n.target,
    c.seconds::bigint as target_seconds, 1.0::double as target_share, c.started_at, c.stopped_at,
    c.elapsed_seconds, c.paused_seconds, c.warn_on_at, c.due_at, c.breached_at,
    greatest(c.elapsed_seconds - c.seconds, 0) as late_seconds, c.state,
    c.stopped_at is null and c.ended_at is null as is_open
from clocks as c
inner join described as d using (ticket_id)
inner join (values
    ('automatic_answer', 'First automatic answer', '自动首次响应', '2m'),
    ('fault_answer', 'Fault report answered', '故障答复', '24h'),
    ('human_answer', 'First human answer', '人工首次响应', '30m'),
    ('feedback_acknowledged', 'Feedback acknowledged', '反馈确认', '1h'),
    ('feedback_solved', 'Feedback solved', '反馈解决', '24h'),
    ('result_told', 'Result told and satisfaction asked', '告知结果并询问满意度', '24h')
) as n (clock, clock_en, clock_zh, target) using (clock)
left join (
    select ticket_id, max(cycle) as cycle from clocks where cycle > 1 group by ticket_id
) as l on c.ticket_id = l.ticket_id and c.clock = 'result_told'
where l.cycle is null or c.cycle = l.cycle;

create table script.fct_ticket_clock_events as
with happened as (
    select
        ticket_id, clock, cycle, 1 as place, started_at as happened_at, 'activate' as event,
        0::bigint as elapsed_seconds
    from clocks
    union all
    select
        ticket_id, 'feedback_solved', 1, 2, until_at, 'activate', elapsed
    from pauses
    where
        not is_followed and until_at is not null
        and (solved_since is null or until_at < solved_since)
    union all
    select
        ticket_id, 'feedback_solved', 1, 3, from_at, if(is_done, 'fulfil', 'pause'), elapsed
    from pauses
    where not goes_on
    union all
    select ticket_id, clock, cycle, 4, breached_at, 'breach', seconds
    from clocks
    where breached_at is not null
    union all
    select ticket_id, clock, cycle, 5, stopped_at, 'fulfil', elapsed_seconds
    from clocks
    where stopped_at is not null
)
select
    ticket_id, clock, cycle,
    (row_number() over (
        partition by ticket_id, clock, cycle order by happened_at, place
    ))::integer as event_no,
    happened_at, event, elapsed_seconds
from happened;
