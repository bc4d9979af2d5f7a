with

limits as (
    select * from {{ source("program", "freshness_limits") }}
),

purposes as (
    select distinct purpose from {{ source("program", "rules") }}
),

-- A replay sees the loads of its day, not later ones; data that came later only have no age.
loads as (
    select
        entity,
        coalesce(
            max(loaded_at) filter (where loaded_at <= {{ as_of_utc() }}), {{ as_of_utc() }}
        ) as loaded_at
    from {{ source("run", "batches") }}
    group by entity
),

-- An entity nobody ever delivered is unknown, not stale.
ages as (
    select
        purposes.purpose,
        limits.position,
        limits.entity,
        limits.max_age,
        {{ seconds_between("loads.loaded_at", as_of_utc()) }} / 86400.0 as age_days,
        {{ rough_days("limits.max_age_amount", "limits.max_age_unit") }} as max_days
    from purposes
    inner join limits
        on (', ' || limits.blocks || ',') like ('%, ' || purposes.purpose || ',%')
    inner join loads on limits.entity = loads.entity
),

judged as (
    select
        purpose,
        bool_and(coalesce(age_days <= max_days, false)) as is_fresh,
        {{ text_list(
            "case when not coalesce(age_days <= max_days, false) then entity || ' is '"
            ~ " || coalesce(cast(cast(age_days as decimal(9, 1)) as varchar), 'unknown')"
            ~ " || ' days old, at most ' || max_age end",
            "; ", "position",
        ) }} as stale_text,
        {{ text_list(
            json_text("entity") ~ " || ': ' ||"
            ~ " coalesce(cast(cast(age_days as decimal(9, 1)) as varchar), 'null')",
            ", ", "position",
        ) }} as ages_json
    from ages
    group by purpose
),

final as (
    select
        purposes.purpose,
        coalesce(judged.is_fresh, true) as is_fresh,
        judged.stale_text,
        '{' || coalesce(judged.ages_json, '') || '}' as ages_json
    from purposes
    left join judged on purposes.purpose = judged.purpose
)

select * from final
