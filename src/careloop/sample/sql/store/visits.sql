with came as (
    select c, k, reg, rnd(row_no(c, k), 'visit') as h, reg_slot + floor(wide(rnd(row_no(c, k), 'visit'), 0) * active_slots)::int as s, gap, gap_from
    from (select *, unnest(range(getvariable('first_k'), getvariable('first_k') + n_visits))::int as k from cust where n_visits > 0)
)
select
    row_id('V', c, k) as 记录号, customer_no(c) as 会员号,
    wall(greatest(slot.d * 86400 + 36000 + ((h >> 32) % 41400)::int, reg)) as 到店时间, 300 + ((h >> 48) % 3000)::int as 停留秒数
from came
join slot on slot.slot = least(s + case when gap > 0 and s >= gap_from then gap else 0 end, getvariable('slots') - 1)
order by c, k
