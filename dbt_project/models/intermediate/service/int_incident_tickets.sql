select
    cast(null as varchar) as incident_id,
    cast(null as varchar) as ticket_id,
    cast(null as timestamp) as found_at
where false
