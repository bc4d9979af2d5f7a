-- Where does delivery go wrong? Orders of the last 90 days with a promised time.
select
    coalesce(customers.region, 'unknown') as region,
    count(*) as deliveries,
    count(*) filter (where orders.is_late) as late,
    round(100.0 * count(*) filter (where orders.is_late) / count(*), 1) as late_percent,
    round(avg(orders.days_late) filter (where orders.is_late), 1) as days_late_on_average,
    round(avg(orders.delivery_days), 1) as delivery_days_on_average
from fct_orders as orders
inner join dim_customers as customers on orders.customer_id = customers.customer_id
where orders.is_late is not null and orders.ordered_on >= customers.as_of_on - 90
group by region
order by late_percent desc, region asc;
