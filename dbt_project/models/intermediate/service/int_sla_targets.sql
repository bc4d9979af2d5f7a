{%- set shown = ["position", "title_en", "title_zh"] -%}
{%- set promise = [
    "starts", "stops", "kinds", "urgencies", "channels", "touchpoints", "segments", "stages",
    "tiers", "is_complex", "target", "target_amount", "target_unit", "target_seconds",
    "clock_type", "pauses", "warn_at", "target_share"
] -%}

with

previous as (
    select * from {{ source("run", "previous_sla_targets") }}
),

clocks as (
    select * from {{ source("program", "sla_clocks") }}
),

promised as (
    select
        id as clock,
        position,
        title_en,
        title_zh,
        starts,
        stops,
        {%- for name in ["kinds", "urgencies", "channels", "touchpoints", "segments", "stages"] %}
        {{ value_set(name) }} as {{ name }},
        {%- endfor %}
        {{ value_set("tiers") }} as tiers,
        complex as is_complex,
        target,
        target_amount,
        target_unit,
        target_seconds,
        clock as clock_type,
        {{ value_set("pauses") }} as pauses,
        warn_at,
        target_share
    from clocks
),

-- A version that only this moment or a later one closed is open again: a replay sees what held.
history as (
    select
        target_key,
        clock,
        -- `position` is a column of personal data elsewhere, so that no mart has one.
        clock_no as position,
        title_en,
        title_zh,
        {%- for column in promise %}
        {{ column }},
        {%- endfor %}
        valid_from,
        case when valid_until < {{ as_of_utc() }} then valid_until end as valid_until,
        as_of,
        pack_hash
    from previous
    where as_of < {{ as_of_utc() }}
),

open_before as (
    select * from history
    where valid_until is null
),

known as (
    select count(*) > 0 as has_history from history
),

-- What was open goes on if the pack still says the same, and ends now if not; what the pack says
-- anew begins. The targets of the first run have held since ever.
compared as (
    select
        open_before.target_key,
        coalesce(open_before.clock, promised.clock) as clock,
        {%- for column in shown %}
        coalesce(promised.{{ column }}, open_before.{{ column }}) as {{ column }},
        {%- endfor %}
        {%- for column in promise %}
        coalesce(open_before.{{ column }}, promised.{{ column }}) as {{ column }},
        {%- endfor %}
        case
            when open_before.clock is not null then open_before.valid_from
            when known.has_history then {{ as_of_utc() }}
        end as valid_from,
        case when promised.clock is null then {{ as_of_utc() }} end as valid_until,
        open_before.as_of,
        open_before.pack_hash
    from open_before
    full outer join promised
        on
            open_before.clock = promised.clock
            {%- for column in promise %}
            and open_before.{{ column }} is not distinct from promised.{{ column }}
            {%- endfor %}
    cross join known
),

final as (
    select * from history
    where valid_until is not null
    union all
    select
        -- Readable, and unique: a clock opens at most one version per as_of.
        coalesce(target_key, clock || coalesce(' ' || cast(valid_from as varchar), ''))
            as target_key,
        clock,
        {%- for column in shown + promise %}
        {{ column }},
        {%- endfor %}
        valid_from,
        valid_until,
        coalesce(as_of, {{ as_of_utc() }}) as as_of,
        coalesce(pack_hash, {{ text_literal(run_context("pack_hash")) }}) as pack_hash
    from compared
)

select * from final
