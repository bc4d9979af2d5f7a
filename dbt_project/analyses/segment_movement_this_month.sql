-- Who moved where this month? One row per pair of segments; (entered) are new to the data.
select
    flows.from_value,
    flows.to_value,
    flows.customers
from rpt_segment_flows as flows
where
    flows.dimension = 'segment'
    and flows.period_type = 'month'
    and flows.period_start = (
        select max(migration.period_start)
        from rpt_segment_migration as migration
        where migration.period_type = 'month'
    )
order by flows.customers desc, flows.from_value asc, flows.to_value asc;
