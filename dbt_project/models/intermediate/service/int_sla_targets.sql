with

clocks as (
    select * from {{ source("program", "sla_clocks") }}
),

final as (
    select
        id as target_key,
        id as clock,
        position,
        title_en,
        title_zh,
        starts,
        stops,
        {{ barred("kinds") }} as kinds,
        {{ barred("urgencies") }} as urgencies,
        {{ barred("channels") }} as channels,
        {{ barred("touchpoints") }} as touchpoints,
        {{ barred("segments") }} as segments,
        {{ barred("stages") }} as stages,
        {{ barred("tiers") }} as tiers,
        complex as is_complex,
        target,
        target_amount,
        target_unit,
        target_seconds,
        clock as clock_type,
        {{ barred("pauses") }} as pauses,
        warn_at,
        target_share,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_until,
        {{ as_of_utc() }} as as_of,
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from clocks
)

select * from final
