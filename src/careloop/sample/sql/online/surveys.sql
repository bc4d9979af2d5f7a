with after_order as (
    select
        o.c, o.k as id, 'csat' as kind, 'overall' as aspect, 1 as lowest, 5 as highest,
        case when o.is_late then 3.0 when o.status = 'returned' then 3.1 else 4.45 end as mood,
        o.delivered + 86400 + (rnd(row_no(o.c, o.k), 'survey') % 200000)::int as asked,
        rnd(row_no(o.c, o.k), 'answer') as h, o.k as order_k, null::int as ticket_k, false as ticket_in_store
    from ord o join cust using (c)
    where not o.in_store and o.delivered is not null and rnd(row_no(o.c, o.k), 'asked') % 8 = 0 and cust.home <> 'store'
),
after_ticket as (
    select
        t.c, 2000 + t.k * 4 + a.i as id, case when a.i = 3 then 'ces' else 'csat' end as kind,
        a.aspect, 1 as lowest, case when a.i = 3 then 7 else 5 end as highest,
        (case when t.responded - t.opened < 3600 then 4.5 when t.responded - t.opened < 40000 then 4.1 else 3.3 end
        - case when t.kind = 'complaint' then 0.5 else 0 end - case when t.reopened is not null then 1.2 else 0 end)
        * case when a.i = 3 then 1.3 else 1 end as mood,
        t.resolved + 1800 + (rnd(row_no(t.c, t.k), 'survey') % 70000)::int as asked,
        rnd(row_no(t.c, t.k), 'answer') as h, t.order_k, t.k as ticket_k, t.in_store as ticket_in_store
    from tick t
    join cust on cust.c = t.c and cust.home <> 'store'
    join (values (0, 'attitude', 3), (1, 'speed', 3), (2, 'efficiency', 3), (3, 'effort', 1)) a(i, aspect, share)
        on rnd(row_no(t.c, t.k), 'asked') % 5 < a.share
    where t.resolved is not null and not t.in_store
),
recommend as (
    select
        c, 9000 + j as id, 'nps' as kind, 'overall' as aspect, 0 as lowest, 10 as highest,
        case when left_at is not null then 6.4 else 8.9 end as mood,
        (getvariable('t_end') - j * 182 * 86400 - rnd(c, 'nps') % (170 * 86400))::int as asked,
        rnd(row_no(c, 9000 + j), 'answer') as h, null::int as order_k, null::int as ticket_k, false as ticket_in_store
    from (select *, unnest(range(2)) as j from cust where home <> 'store' and first_order is not null)
    where getvariable('t_end') - j * 182 * 86400 - rnd(c, 'nps') % (170 * 86400) between first_order + 30 * 86400 and until - 1
),
asked as (
    from after_order union all from after_ticket union all from recommend
),
answered as (
    select
        *,
        case when u(h, 0) < 0.46 then seen(asked + 120 + floor(u(h, 1) * u(h, 1) * 250000)::int) end as answered,
        greatest(lowest, least(highest, round(mood + (highest - lowest) * 0.2 * normal(rnd(row_no(c, id), 'score')))))::int as score
    from asked where asked < getvariable('t_end')
)
select
    row_id('R', a.c, a.id) as response_id, customer_no(a.c) as customer_no, a.kind, a.aspect, a.lowest as scale_min, a.highest as scale_max,
    case when a.answered is not null then a.score end as score, utc(a.asked) as asked_at, utc(a.answered) as answered_at,
    ['sms', 'wecom', 'app', 'email'][(1 + a.h % 4)::int] as method,
    case when a.answered is not null and u(a.h, 2) < 0.3 then pick(p.texts, a.h) end as comment,
    case when a.answered is not null and a.score < a.lowest + 0.5 * (a.highest - a.lowest) and u(a.h, 3) < 0.6
        then ['called_back', 'apology_and_coupon', 'passed_to_department'][(1 + a.h % 3)::int] end as outcome,
    case when a.ticket_k is not null then row_id(case when a.ticket_in_store then 'D' else 'T' end, a.c, a.ticket_k) end as ticket_id,
    case when a.order_k is not null then order_id(a.c, a.order_k, a.ticket_in_store) end as order_no
from answered a
join cust using (c)
join phrase p on p.what = 'comment' and p.lang = cust.lang
    and p.topic = case when a.score >= a.lowest + 0.75 * (a.highest - a.lowest) then 'good'
        when a.score >= a.lowest + 0.5 * (a.highest - a.lowest) then 'middle' else 'bad' end
order by a.c, a.id
