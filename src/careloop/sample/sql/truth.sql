select
    customer_no(c) as customer_id, home as source, wall(reg) as registered_at, wall(first_order) as first_order_at,
    wall(left_at) as true_left_at, left_at is null as is_alive, rate as orders_per_day,
    case when gap > 0 then (select min(date) from day where day.first_slot + day.slots > gap_from) end as pause_from,
    gap > 0 as has_pause, n_orders, n_interactions
from cust
order by c
