with

targets as (
    select * from {{ ref("int_sla_targets") }}
),

final as (
    select
        target_key,
        clock,
        position as clock_no,
        title_en,
        title_zh,
        starts,
        stops,
        kinds,
        urgencies,
        channels,
        touchpoints,
        segments,
        stages,
        tiers,
        is_complex,
        target,
        target_amount,
        target_unit,
        target_seconds,
        clock_type,
        pauses,
        warn_at,
        target_share,
        valid_from,
        valid_until,
        as_of,
        pack_hash
    from targets
)

select * from final
