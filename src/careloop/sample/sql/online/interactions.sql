with happened as (
    select
        c, k, rnd(row_no(c, k), 'interaction') as h,
        case when k = 0 then reg_slot else reg_slot + floor(wide(rnd(row_no(c, k), 'interaction'), 0) * active_slots)::int end as s,
        reg, gap, gap_from
    from (
        select c, reg, reg_slot, active_slots, gap, gap_from,
            unnest(range(getvariable('first_k'), getvariable('first_k') + n_interactions))::int as k
        from cust where n_interactions > 0
    )
)
select
    row_id('I', c, k) as interaction_id, customer_no(c) as customer_no,
    utc(greatest(slot.d * 86400 + clock(h), reg)) as occurred_at,
    pick(getvariable('act_channel'), i) as channel, pick(getvariable('act_kind'), i) as kind,
    case when pick(getvariable('act_product'), i) then product_no(popular(h, 3)) end as product_id,
    nullif(pick(getvariable('act_dwell'), i) * (1 + ((h >> 32) & 127)::int) // 32, 0) as dwell_seconds
-- the first is the log-in of the registration
from (select *, case when k = 0 then 0 else (h >> 40) & 255 end as i from happened)
join slot on slot.slot = least(s + case when gap > 0 and s >= gap_from then gap else 0 end, getvariable('slots') - 1)
order by c, k
