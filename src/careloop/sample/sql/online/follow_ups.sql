with managed as (
    select
        c, j as id, (until - (j + u(rnd(row_no(c, j), 'follow'), 0)) * 30 * 86400)::int as planned, account_manager_id as staff, lang, reg, 'care' as topic, null::int as ticket_k
    from (select c, reg, until, account_manager_id, lang, unnest(range(case when is_strategic then 12 else 4 end)) as j
        from profile where account_manager_id is not null and home <> 'store')
),
complained as (
    select t.c, 2000 + t.k as id, t.resolved + 3600 + (rnd(row_no(t.c, t.k), 'follow') % 80000)::int as planned, t.owner as staff, lang, reg, 'complaint' as topic, t.k as ticket_k
    from tick t join cust using (c)
    where t.kind = 'complaint' and t.resolved is not null and not t.in_store and home <> 'store' and rnd(row_no(t.c, t.k), 'called') % 2 = 0
),
planned as (
    select * replace ((planned - planned % 86400 + 32400 + planned % 32400)::int as planned), rnd(row_no(c, id), 'follow done') as h
    from (from managed union all from complained)
    where planned - planned % 86400 + 64800 < getvariable('t_end') and planned > reg + 86400
),
done as (
    select *, case when u(h, 0) < 0.86 then seen(planned + floor((u(h, 1) - 0.2) * 150000)::int) end as done from planned
)
select
    row_id('F', d.c, d.id) as follow_up_id, customer_no(d.c) as customer_no, utc(d.planned) as planned_at, utc(d.done) as done_at,
    ['call', 'call', 'online', 'online', 'visit'][(1 + d.h % 5)::int] as method, d.staff as staff_id,
    case when d.done is not null then pick(said.texts, d.h) end as content,
    case when d.done is not null then pick(heard.texts, d.h // 7) end as feedback,
    case when d.done is not null and u(d.h, 2) < 0.3 then pick(next.texts, d.h // 11) end as item,
    d.staff as owner_id, on_day(d.planned + 3 * 86400) as due_on,
    case when d.ticket_k is not null then row_id('T', d.c, d.ticket_k) end as ticket_id
from done d
join phrase said on said.what = 'said' and said.lang = d.lang and said.topic = d.topic
join phrase heard on heard.what = 'heard' and heard.lang = d.lang
join phrase next on next.what = 'next' and next.lang = d.lang
order by d.c, d.id
