-- Who has left their segment in the last 30 days, from where to where, and which measures show it?
select
    changes.customer_id,
    changes.from_value,
    changes.to_value,
    changes.changed_on,
    changes.reason,
    json_extract_string(changes.measures, '$.days_since_last_order') as days_since_last_order,
    customers.spend_total,
    customers.account_manager_id
from fct_customer_changes as changes
inner join dim_customers as customers on changes.customer_id = customers.customer_id
where
    changes.dimension = 'segment'
    and changes.from_value is not null
    and changes.changed_on > customers.as_of_on - 30
order by customers.spend_total desc, changes.customer_id asc, changes.changed_on asc
limit 200;
