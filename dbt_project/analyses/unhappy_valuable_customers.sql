-- Which good customers have reason to complain? Open tickets, repeated complaints, late
-- deliveries or a bad rating among the upper half by spend.
select
    customer_id,
    segment,
    stage,
    account_manager_id,
    spend_total,
    open_tickets,
    complaints_medium,
    round(100 * late_delivery_share, 0) as late_delivery_percent,
    last_satisfaction,
    nps_last
from dim_customers
where
    spend_rank >= 0.5
    and (
        open_tickets > 0
        or complaints_medium >= 2
        or late_delivery_share >= 0.5
        or last_satisfaction <= 0.4
        or nps_last <= 6
    )
order by spend_total desc, customer_id asc
limit 100;
