select
    cast(null as varchar) as period_type,
    cast(null as date) as period_start,
    cast(null as date) as period_end,
    cast(null as timestamp) as starts_at,
    cast(null as timestamp) as ends_at,
    cast(null as timestamp) as seen_until,
    cast(null as boolean) as is_over
where false
