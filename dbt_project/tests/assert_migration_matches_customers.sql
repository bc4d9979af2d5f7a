-- History that misses or doubles a change drifts from the customers it is about. The closing
-- figure of the current period must be today's customers, segment by segment and stage by stage.
with

migration as (
    select * from {{ ref("rpt_segment_migration") }}
),

erasures as (
    select * from {{ source("run", "erasures") }}
    where erased_at <= {{ as_of_utc() }}
),

customers as (
    select
        case when erasures.customer_id is null then customers.segment else '(erased)' end
            as segment,
        case when erasures.customer_id is null then customers.stage else '(erased)' end as stage
    from {{ ref("dim_customers") }} as customers
    left join erasures on customers.customer_id = erasures.customer_id
),

current_closing as (
    select
        period_type,
        dimension,
        value,
        closing
    from migration
    where period_end = {{ as_of_date() }}
),

actual as (
    select
        'segment' as dimension,
        segment as value,
        count(*) as customers
    from customers
    group by segment
    union all
    select
        'stage' as dimension,
        stage as value,
        count(*) as customers
    from customers
    group by stage
),

period_types as (
    select 'month' as period_type
    union all
    select 'quarter' as period_type
),

expected as (
    select
        period_types.period_type,
        actual.dimension,
        actual.value,
        actual.customers
    from period_types
    cross join actual
)

select
    coalesce(current_closing.period_type, expected.period_type) as period_type,
    coalesce(current_closing.dimension, expected.dimension) as dimension,
    coalesce(current_closing.value, expected.value) as value,
    current_closing.closing,
    expected.customers
from current_closing
full outer join expected
    on
        current_closing.period_type = expected.period_type
        and current_closing.dimension = expected.dimension
        and current_closing.value = expected.value
where coalesce(current_closing.closing, 0) <> coalesce(expected.customers, 0)
