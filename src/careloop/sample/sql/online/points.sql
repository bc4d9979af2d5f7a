-- Each lot earned is used once or expires whole a year later, so a balance is never negative.
with bought as (
    select o.c, case when o.k < 6000 then o.k * 2 else o.k end as id, o.delivered as moment, 'purchase' as reason, ((o.total - o.discount) // 100)::bigint as points
    from ord o join cust using (c)
    where cust.is_member and cust.home <> 'store' and o.status in ('delivered', 'completed')
),
other as (
    select
        c, 2000 + j * 2 as id, reg + 3600 + floor(u(rnd(row_no(c, j), 'bonus'), 0) * (until - reg - 3600))::int as moment,
        ['check_in', 'check_in', 'survey', 'interaction'][j + 1] as reason, [5, 5, 20, 10][j + 1]::bigint as points
    from (select *, unnest(range(4)) as j from cust where is_member and home <> 'store' and until - reg > 864000)
    where u(rnd(row_no(c, j), 'bonus'), 1) < 0.4
),
lots as (
    select *, rnd(row_no(c, id), 'lot') as h from (from bought union all from other) where points > 0
),
entries as (
    select *, unnest([0, 1]) as e from lots
),
timed as (
    select
        c, id + e as id, reason, points, e, u(h, 0) < 0.35 as is_used, moment as earned,
        case e when 0 then moment else seen(moment + case when u(h, 0) < 0.35 then 86400 + floor(u(h, 1) * 300 * 86400)::int else 366 * 86400 end) end as moment
    from entries
)
select
    row_id('L', c, id) as entry_id, customer_no(c) as customer_no, utc(moment) as "at",
    case when e = 0 then reason when is_used then 'redeem' else 'expire' end as reason,
    case when e = 0 then points else -points end as points,
    case when e = 0 then on_day(earned + 365 * 86400) end as expires_on
from timed where moment is not null
order by c, id
