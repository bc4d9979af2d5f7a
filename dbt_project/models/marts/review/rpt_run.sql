with

context as (
    select * from {{ source("run", "context") }}
),

batches as (
    select * from {{ source("run", "batches") }}
),

freshness as (
    select
        max(loaded_at) as last_loaded_at,
        max(case when max_event_at <= {{ as_of_utc() }} then max_event_at end) as last_event_at
    from batches
),

final as (
    select
        context.run_id,
        context.as_of_local,
        context.as_of_utc,
        context.as_of_date as as_of_on,
        context.zone,
        context.pack,
        context.pack_hash,
        context.currency,
        context.locale,
        freshness.last_loaded_at,
        freshness.last_event_at
    from context
    cross join freshness
)

select * from final
