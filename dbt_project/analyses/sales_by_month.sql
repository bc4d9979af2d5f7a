-- How do sales develop, and how much of it comes from first orders?
select
    cast(date_trunc('month', ordered_on) as date) as month,
    count(*) as orders,
    count(distinct customer_id) as customers,
    sum(amount_program) as sales,
    sum(amount_program) filter (where is_first_order) as sales_from_first_orders,
    round(avg(amount_program), 2) as average_order_value
from fct_orders
where is_counted
group by month
order by month;
