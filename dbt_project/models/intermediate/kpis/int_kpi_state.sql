select
    cast(null as varchar) as kpi,
    cast(null as varchar) as period_type,
    cast(null as date) as period_start,
    cast(null as varchar) as customer_id,
    cast(null as varchar) as owner_id,
    cast(null as varchar) as touchpoint,
    cast(null as boolean) as is_core,
    cast(null as decimal(28, 6)) as numerator,
    cast(null as decimal(28, 6)) as denominator
where false
