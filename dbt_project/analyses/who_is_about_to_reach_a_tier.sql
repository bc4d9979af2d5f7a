-- Whom does one more purchase lift into the next tier, or keep in theirs? Customers who miss no
-- more than their usual order, the nearest first.
select
    tiers.customer_id,
    tiers.tier,
    case when tiers.is_earned or tiers.tier is null then 'reach' else 'keep' end as may,
    case when tiers.is_earned or tiers.tier is null then tiers.next_tier else tiers.tier end
        as goal,
    case
        when tiers.is_earned or tiers.tier is null then tiers.spend_to_next
        else tiers.spend_to_keep
    end as spend_missing,
    tiers.kept_until,
    customers.average_order_value,
    tiers.reason
from fct_customer_tiers as tiers
inner join dim_customers as customers on tiers.customer_id = customers.customer_id
where
    case
        when tiers.is_earned or tiers.tier is null then tiers.spend_to_next
        else tiers.spend_to_keep
    end between 0.01 and customers.average_order_value
order by spend_missing asc, tiers.customer_id asc
limit 200;
