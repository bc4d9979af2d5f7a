with

batches as (
    select * from {{ source("run", "batches") }}
),

final as (
    select
        batch_seq,
        batch_id,
        entity,
        source,
        file,
        loaded_at,
        rows_read,
        rows_loaded,
        rows_rejected,
        rows_held,
        rows_outdated,
        rows_replaced,
        run_id,
        min_event_at,
        max_event_at
    from batches
)

select * from final
