select
    cast(null as varchar) as target_key,
    cast(null as varchar) as clock,
    cast(null as integer) as position,
    cast(null as varchar) as starts,
    cast(null as varchar) as stops
where false
