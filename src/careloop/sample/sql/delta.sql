-- Turns the tables of a sample into those of one later day: `day_no` days after as_of.
-- What was made for the chosen customers gives way to what is new or changed on that day.
set variable day_start = getvariable('t_end') + getvariable('day_no') * 86400;
set variable newcomers = 5 + getvariable('customers') // 300;
set variable t_end = getvariable('day_start') + 86400;
set variable first_k = 6000 + getvariable('day_no') * 10;
set variable touched = getvariable('day_start') + 43200;

insert into slot select getvariable('slots') + i, getvariable('days') + getvariable('day_no'), 1 from range(20) t(i);

delete from cust where left_at is not null;

-- newcomers: one for every ten of the regulars who are active on the day; each day has its own ids
insert into cust by name
select
    (getvariable('customers') + getvariable('day_no') * getvariable('newcomers') + row_number() over (order by c) - 1)::int as c,
    (getvariable('day_start') + clock(rnd(c, 'newcomer')))::int as reg,
    is_company, 'online' as home, lang, rate, false as never_buys,
    null as first_order, null as left_at, getvariable('t_end')::int as until,
    getvariable('slots') as reg_slot, null as from_slot, getvariable('slots') + 20 as to_slot,
    0 as gap, null as gap_from, 0 as order_slots, 20 as active_slots,
    0 as n_orders, 1 as n_interactions, 0 as n_visits, 0 as n_tickets, is_member
from cust where rnd(c, 'brings') % 10 = 0;

update cust set
    reg_slot = getvariable('slots'), active_slots = 20, gap = 0,
    n_interactions = case when home = 'store' then 0 else 4 end,
    n_visits = case when home = 'online' then 0 else 1 end;
set variable slots = getvariable('slots') + 20;

-- orders under way arrive; each regular orders once
create or replace temp table changed as
select
    * replace (
        coalesce(shipped, getvariable('day_start') + 3600)::int as shipped,
        (getvariable('day_start') + 32400 + rnd(row_no(c, k), 'arrives') % 36000)::int as delivered,
        'delivered' as status
    )
from ord
where status in ('preparing', 'shipped') and c in (select c from cust) and cancelled is null
order by c, k;

create or replace temp table fresh as
with bought as (
    select
        c, (6000 + getvariable('day_no') * 2)::int as k, is_company, home <> 'online' and (home = 'store' or rnd(c, 'where') % 5 < 2) as in_store,
        (greatest(getvariable('day_start') + clock(rnd(c, 'new order')), reg + 300))::int as ordered
    from cust
)
select
    c, k, is_company, in_store, ordered, (1 + rnd(c, 'new lines') % 2)::tinyint as lines,
    0::bigint as total, 0::bigint as discount,
    seen(ordered + case when in_store then 0 else 90 end)::int as paid, null::int as shipped,
    case when not in_store then ((ordered // 86400 + 4) * 86400 - 1)::int end as promised,
    case when in_store then ordered end as delivered, null::int as cancelled,
    case when in_store then 'completed' when seen(ordered + 90) is null then 'pending' else 'paid' end as status, false as is_late
from bought
where ordered < getvariable('t_end')
order by c;

delete from ord;
insert into ord from fresh;
update ord set total = priced.total
from (select c, k, sum(price_cents(p) * quantity)::bigint as total from line group by all) priced
where priced.c = ord.c and priced.k = ord.k;
insert into ord from changed;

-- open tickets are solved; one regular in eight asks something
create or replace temp table handled as
select
    * replace (
        coalesce(responded, getvariable('day_start') + 33000)::int as responded,
        (getvariable('day_start') + 36000 + rnd(row_no(c, k), 'solves') % 20000)::int as resolved,
        (getvariable('day_start') + 36000 + rnd(row_no(c, k), 'solves') % 20000)::int as solved_first
    )
from tick
where resolved is null and reopened is null and rnd(row_no(c, k), 'solves') % 3 = 0 and c in (select c from cust)
order by c, k;

delete from tick;
insert into tick by name
select
    c, getvariable('first_k') as k, home = 'store' as in_store, case when home = 'store' then 'store' else 'chat' end as channel, 'product_info' as category, 'consult' as touchpoint, 'enquiry' as kind,
    'service' as department, 'general' as urgency, false as is_complex,
    (getvariable('day_start') + 32400 + rnd(c, 'asks') % 30000)::int as opened,
    case when home <> 'store' then (getvariable('day_start') + 32404 + rnd(c, 'asks') % 30000)::int end as automatic,
    case when home <> 'store' then (getvariable('day_start') + 32445 + rnd(c, 'asks') % 30000)::int end as handed_over,
    (getvariable('day_start') + 32430 + rnd(c, 'asks') % 30000)::int as acknowledged,
    staff_no(getvariable('managers')) as owner
from cust where rnd(c, 'asks') % 8 = 0 and reg < getvariable('day_start')
order by c;
insert into tick from handled;
