-- Which products are many customers about to need again? For stock and for reminders.
select
    coalesce(products.name, due.product_id) as product,
    count(*) filter (where due.state = 'upcoming') as upcoming,
    count(*) filter (where due.state = 'due') as due,
    count(*) filter (where due.state = 'overdue') as overdue
from fct_replacements_due as due
left join dim_products as products on due.product_id = products.product_id
group by all
order by due desc, product asc
limit 50;
