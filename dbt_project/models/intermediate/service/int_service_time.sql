select
    cast(null as timestamp) as opens_at,
    cast(null as timestamp) as closes_at,
    cast(null as bigint) as worked_before,
    cast(null as bigint) as worked_after
where false
