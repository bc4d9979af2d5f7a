-- One row per order with the times it really goes through; `seen()` hides what is after as_of.
create or replace table ord as
with counted as (
    select * exclude (k), k::int as k, rnd(row_no(c, k), 'order') as h,
        (from_slot + floor(wide(rnd(row_no(c, k), 'order'), 0) * order_slots))::int as s
    from (
        select c, is_company, home, first_order, from_slot, order_slots, gap, gap_from,
            unnest(range(n_orders)) as k
        from cust
    )
),
placed as (
    select
        o.c, o.k, o.is_company, coalesce(slot.weight, 1) as weight,
        rnd(row_no(o.c, o.k), 'fate') as hf, rnd(row_no(o.c, o.k), 'times') as ht,
        rnd(row_no(o.c, o.k), 'items') as hi, rnd(row_no(o.c, o.k), 'quantity') as hq,
        case o.home when 'online' then false when 'store' then true
            else u(o.h, 2) < 0.4 end as in_store,
        case when o.k = 0 then o.first_order
            else slot.d * 86400 + clock(rnd(row_no(o.c, o.k), 'clock')) end as ordered
    from counted o
    left join slot on slot.slot = case when o.k > 0 then o.s + case when o.gap > 0 and o.s >= o.gap_from then o.gap else 0 end end
),
timed as (
    select
        * exclude (ordered),
        -- shops open from 10:00 to 21:30; a first order stays where it is, after the registration
        case when in_store and k > 0 then ordered - ordered % 86400 + 36000 + ((ordered % 86400) * 23 // 48) else ordered end as ordered,
        u(hf, 0) as fate,
        case when u(hf, 1) < 0.55 then 1 when u(hf, 1) < 0.83 then 2 when u(hf, 1) < 0.95 then 3 else 4 end as lines,
        u(hf, 2) < case when weight >= 1.5 then 0.17 else 0.055 end as is_slow,
        u(hf, 3) as price_luck
    from placed
),
paid as (
    select *, case when in_store then ordered else ordered + 20 + floor(u(ht, 0) * u(ht, 0) * 5400)::int end as pay_at
    from timed
),
shipped as (
    select
        *,
        -- of late some orders lie in the warehouse for days
        case when not in_store and fate >= 0.05 then pay_at + 14400 + floor(u(ht, 1) * 100000)::int
            + case when ordered > getvariable('t_end') - 20 * 86400 and rnd(row_no(c, k), 'held') % 12 = 0 then 600000 else 0 end
        end as ship_at,
        case when not in_store then (ordered // 86400 + 4) * 86400 - 1 end as promise_at
    from paid
),
delivered as (
    select
        *,
        case when in_store then ordered
            when fate >= 0.055 then ship_at + 40000 + floor(u(ht, 2) * 90000)::int
                + case when is_slow then 172800 + floor(u(ht, 3) * 500000)::int else 0 end
        end as deliver_at
    from shipped
),
decided as (
    select
        *,
        case
            when fate < 0.03 and not in_store then ordered + 86400
            when fate < 0.05 and not in_store then pay_at + 3600 + floor(u(ht, 3) * 50000)::int
            when fate between 0.05 and 0.055 and not in_store then promise_at + 12 * 86400
            when fate > 0.962 then deliver_at + 86400 + floor(u(ht, 0) * 700000)::int
        end as cancel_at,
        price_cents(product_at(hi, 0)) * quantity_at(hq, 0, is_company)
        + case when lines > 1 then price_cents(product_at(hi, 1)) * quantity_at(hq, 1, is_company) else 0 end
        + case when lines > 2 then price_cents(product_at(hi, 2)) * quantity_at(hq, 2, is_company) else 0 end
        + case when lines > 3 then price_cents(product_at(hi, 3)) * quantity_at(hq, 3, is_company) else 0 end as total
    from delivered
)
select
    c, k, is_company, in_store, ordered::int as ordered, lines::tinyint as lines, total,
    case when price_luck < 0.2 or (weight >= 1.5 and price_luck < 0.65)
        then (total * (0.05 + 0.15 * u(hf, 1)))::bigint else 0 end as discount,
    seen(case when in_store or fate >= 0.03 then pay_at end)::int as paid,
    seen(ship_at)::int as shipped,
    promise_at::int as promised,
    seen(deliver_at)::int as delivered,
    seen(cancel_at)::int as cancelled,
    case
        when cancel_at < getvariable('t_end') then case when fate > 0.962 then 'returned' else 'cancelled' end
        when in_store then 'completed'
        when deliver_at < getvariable('t_end') - 604800 then 'completed'
        when deliver_at < getvariable('t_end') then 'delivered'
        when ship_at < getvariable('t_end') then 'shipped'
        when fate < 0.03 then 'pending'
        when pay_at < getvariable('t_end') - 7200 then 'preparing'
        when pay_at < getvariable('t_end') then 'paid'
        else 'pending'
    end as status,
    not in_store and coalesce(deliver_at, getvariable('t_end') + 1) > promise_at and fate >= 0.05 as is_late
from decided
order by c, k;

create or replace macro order_updated(ordered, paid, shipped, delivered, cancelled) as
    greatest(ordered, paid, shipped, delivered, cancelled);
create or replace macro order_id(c, k, in_store) as
    row_id(case when in_store then 'M' else 'O' end, c, k);
