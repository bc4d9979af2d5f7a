-- One row per ticket. Those about an order have its number k; the others start at 700.
create or replace table tick as
with about_orders as (
    select
        c, k, k as order_k, in_store, rnd(row_no(c, k), 'ticket') as h, rnd(row_no(c, k), 'ticket times') as ht,
        ordered, paid, delivered, promised, is_late, status
    from ord
),
from_orders as (
    select
        c, k, order_k, in_store, ht,
        case
            when is_late then case when u(h, 0) < 0.32 then 'late_delivery' end
            when status = 'returned' then case when u(h, 0) < 0.5 then 'return_request' when u(h, 0) < 0.56 then 'complex_return' end
            when delivered is not null and u(h, 0) < 0.058 then
                case when u(h, 0) < 0.012 then 'product_quality' when u(h, 0) < 0.021 then 'fault'
                    when u(h, 0) < 0.026 then 'mismatch' when u(h, 0) < 0.045 then 'usage_advice' else 'invoice' end
            when u(h, 0) > 0.945 and not in_store then case when u(h, 0) > 0.985 then 'payment' else 'order_status' end
        end as category,
        case
            when is_late then promised + 7200 + floor(u(h, 1) * 200000)::int
            when u(h, 0) > 0.945 then ordered + 600 + floor(u(h, 1) * 80000)::int
            when u(h, 0) between 0.012 and 0.026 then delivered + 86400 + floor(u(h, 1) * 3000000)::int
            else coalesce(delivered, ordered) + 7200 + floor(u(h, 1) * 500000)::int
        end as opened
    from about_orders
),
from_customers as (
    select
        c, (700 + j)::int as k, null::int as order_k, home = 'store' as in_store,
        rnd(row_no(c, 700 + j), 'ticket times') as ht,
        rnd(row_no(c, 700 + j), 'ticket') as h, reg, until, left_at,
        reg_slot, to_slot, j
    from (select *, unnest(range(n_tickets + 1)) as j from cust)
),
placed as (
    select
        f.*,
        -- j = 0: what many who leave say shortly before they do
        case
            when j = 0 then case when left_at is not null and u(h, 0) < 0.35 then greatest(reg + 3600, left_at - 3600 - floor(u(h, 1) * 20 * 86400)::int) end
            else slot.d * 86400 + clock(f.ht)
        end as opened
    from from_customers f
    left join slot on slot.slot = case when j > 0 then reg_slot + floor(u(h, 1) * (to_slot - reg_slot))::int end
),
raised as (
    select c, k, order_k, in_store, ht, category, opened from from_orders where category is not null
    union all
    select
        c, k, order_k, in_store, ht,
        case when j = 0 then case when u(h, 2) < 0.4 then 'service_attitude' when u(h, 2) < 0.75 then 'slow_response' else 'product_quality' end
            when u(h, 2) < 0.50 then 'product_info' when u(h, 2) < 0.68 then 'usage_advice'
            when u(h, 2) < 0.84 then 'suggestion' when u(h, 2) < 0.90 then 'slow_response'
            when u(h, 2) < 0.95 then 'service_attitude' else 'account' end,
        greatest(opened, reg + 600)
    from placed
    where opened is not null
    union all
    -- One morning nobody can sign in for half an hour. Whoever calls a shop then is not counted.
    select
        c, 699 as k, null as order_k, false as in_store, rnd(row_no(c, 699), 'ticket times') as ht, 'account' as category,
        getvariable('t_end') - 12 * 86400 + 37200 + floor(u(rnd(c, 'outage'), 2) * 1500)::int as opened
    from cust
    where home <> 'store' and u(rnd(c, 'outage'), 0) < greatest(0.008, 90.0 / getvariable('customers'))
        and reg < getvariable('t_end') - 13 * 86400 and left_at is null
),
judged as (
    select
        r.c, r.k, r.order_k, r.in_store, r.category, r.opened::int as opened, r.ht,
        t.touchpoint, t.kind, t.department, t.urgency as usual,
        rnd(row_no(r.c, r.k), 'ticket handling') as hh
    from raised r
    join topic t using (category)
    where r.opened < getvariable('t_end')
),
begun as (
    select
        * exclude (usual),
        case when usual = 'general' and u(hh, 0) < case kind when 'fault' then 0.45 when 'complaint' then 0.25 else 0.04 end
            then 'urgent' else usual end as urgency,
        u(hh, 1) < 0.12 as is_complex,
        case when in_store then 'store' when kind = 'complaint' and (c + k) % 2 = 0 then 'call'
            else ['chat', 'app', 'wecom', 'email', 'call'][1 + (c * 7 + k) % 5] end as channel,
        -- at night nobody answers: the clock starts at nine
        case when opened % 86400 < 32400 then opened - opened % 86400 + 32400
            when opened % 86400 > 79200 then opened - opened % 86400 + 118800 else opened end as open_hours
    from judged
),
answered as (
    select
        *,
        opened + 15 + floor(pow(u(ht, 0), 3) * 7200)::int as ack,
        open_hours + 7300 * (u(hh, 2) > 0.9)::int
        + floor(-ln(u(ht, 1)) * case when urgency = 'urgent' then 1500 when urgency = 'suggestion' then 30000 else 2600 end)::int + 60
        -- of late there are too few people: many wait for days
        + case when opened > getvariable('t_end') - 16 * 86400 and u(hh, 3) between 0.3 and 0.55 then 50000 + floor(u(ht, 0) * 200000)::int else 0 end
        as answer
    from begun
),
solved as (
    select
        *,
        greatest(answer, ack + 5) as respond,
        greatest(answer, ack + 5) + 300 + floor(-ln(u(ht, 2)) * case when is_complex then 260000 when urgency = 'urgent' then 30000
            when kind = 'enquiry' then 9000 else 70000 end)::int as solve0,
        u(hh, 3) < 0.05 as is_reopened, u(hh, 3) > 0.985 as is_stuck
    from answered
),
finished as (
    select *, case when not is_stuck then solve0 + case when is_reopened then 40000 + floor(u(ht, 3) * 200000)::int else 0 end end as solve
    from solved
)
select
    c, k, order_k, in_store, channel, category, touchpoint, kind, department, urgency, is_complex, opened,
    case when channel in ('chat', 'app', 'wecom') then seen(opened + 1 + floor(pow(u(hh, 1), 6) * 40)::int)::int end as automatic,
    case when channel in ('chat', 'app', 'wecom') then seen(opened + 45 + floor(u(hh, 1) * 600)::int)::int end as handed_over,
    seen(case when u(ht, 3) > 0.03 then ack end)::int as acknowledged,
    seen(respond)::int as responded,
    seen(case when not is_stuck then solve0 end)::int as solved_first,
    case when is_reopened then seen(solve0 + 20000)::int end as reopened,
    seen(solve)::int as resolved,
    seen(solve + 3600 + floor(u(ht, 3) * 150000)::int)::int as closed,
    seen(solve + 700000)::int as archived,
    case when seen(solve) is not null and u(rnd(row_no(c, k), 'confirm'), 0) < 0.7 then
        case when u(rnd(row_no(c, k), 'confirm'), 1) < case when is_reopened then 0.3 when kind = 'complaint' then 0.14 else 0.05 end then 'dissatisfied'
            when u(rnd(row_no(c, k), 'confirm'), 1) < 0.30 then 'fairly_satisfied' else 'satisfied' end
    end as confirmation,
    staff_no(getvariable('managers') + floor(u(ht, 2) * getvariable('agents'))::int) as owner
from finished
order by c, k;

create or replace view ticket as
select
    t.*,
    row_id(case when t.in_store then 'D' else 'T' end, t.c, t.k) as ticket_id,
    case when t.order_k is not null then order_id(t.c, t.order_k, t.in_store) end as order_id,
    -- a solution that came apart again is none until it is solved anew
    case when t.reopened is null then t.solved_first else t.resolved end as resolved_now,
    replace(pick(p.texts, rnd(row_no(t.c, t.k), 'words')), '{order}', coalesce(order_id(t.c, t.order_k, t.in_store), '–'))
    || case when rnd(row_no(t.c, t.k), 'more') % 5 = 0 then chr(10) || pick(m.texts, rnd(row_no(t.c, t.k), 'more words')) else '' end as description,
    case when t.resolved is not null then pick(r.texts, rnd(row_no(t.c, t.k), 'result')) end as result,
    case when t.resolved is not null then pick(
        case t.kind when 'complaint' then ['apology', 'compensation', 'refund', 'replacement'] when 'fault' then ['repair', 'replacement', 'remote_help']
            when 'return' then ['return_accepted', 'refund', 'exchange'] when 'enquiry' then ['explained', 'guide_sent'] else ['noted', 'passed_on'] end,
        rnd(row_no(t.c, t.k), 'resolution')
    ) end as resolution,
    greatest(t.opened, t.acknowledged, t.responded, t.solved_first, t.reopened, t.resolved, t.closed, t.archived) as updated
from tick t
join cust using (c)
join phrase p on p.what = 'ticket' and p.lang = cust.lang and p.topic = t.category
join phrase m on m.what = 'more' and m.lang = cust.lang
join phrase r on r.what = 'result' and r.lang = cust.lang and r.topic = t.kind;
