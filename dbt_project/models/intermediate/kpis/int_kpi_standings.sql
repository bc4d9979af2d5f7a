select
    cast(null as varchar) as customer_id,
    cast(null as timestamp) as valid_from,
    cast(null as timestamp) as valid_until,
    cast(null as varchar) as segment,
    cast(null as varchar) as stage,
    cast(null as varchar) as tier,
    cast(null as varchar) as region,
    cast(null as varchar) as account_manager_id
where false
