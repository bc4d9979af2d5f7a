with happened as (
    select
        c, k, rnd(row_no(c, k), 'interaction') as h,
        case when k = 0 then reg_slot else reg_slot + floor(wide(rnd(row_no(c, k), 'interaction'), 0) * active_slots)::int end as s,
        reg, gap, gap_from
    from (select c, reg, reg_slot, active_slots, gap, gap_from, unnest(range(n_interactions))::int as k from cust where n_interactions > 0)
)
select
    row_id('I', c, k) as interaction_id, customer_no(c) as customer_no,
    utc(greatest(slot.d * 86400 + clock(h), reg)) as occurred_at,
    pick(getvariable('act_channel'), (h >> 40) & 255) as channel,
    case when k = 0 then 'login' else pick(getvariable('act_kind'), (h >> 40) & 255) end as kind,
    case when k > 0 and pick(getvariable('act_product'), (h >> 40) & 255) then product_no(product_at(h, 3)) end as product_id,
    case when pick(getvariable('act_dwell'), (h >> 40) & 255) > 0
        then (pick(getvariable('act_dwell'), (h >> 40) & 255) * (1 + ((h >> 32) & 127)) // 32)::int end as dwell_seconds
from happened
join slot on slot.slot = least(s + case when gap > 0 and s >= gap_from then gap else 0 end, getvariable('slots') - 1)
