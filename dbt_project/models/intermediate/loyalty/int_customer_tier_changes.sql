{{ config(materialized="view") }}

{%- set tiers = loyalty_tiers() -%}
{%- set by_step = optional_setting_text("loyalty.drop", "one_step") == "one_step" -%}

with

previous_changes as (
    select * from {{ source("run", "previous_customer_tier_changes") }}
),

customers as (
    select * from {{ ref("int_customer_tier_walk") }}
),

-- All steps but the last of those who went down several while no run happened.
passed as (
    {%- for nth in range(1, tiers | length) %}
    {{ "union all" if not loop.first }}
    select
        customer_id,
        last_change_no + {{ nth }} as change_no,
        held_position - {{ nth - 1 }} as from_position,
        held_position - {{ nth }} as position,
        {{ tier_drop_on("held_until", nth) }} as changed_on,
        {{ tier_drop_on("held_until", nth) }} as tier_since,
        {{ tier_drop_on("held_until", nth + 1) }} - 1 as kept_until,
        'kept until ' || cast({{ tier_drop_on("held_until", nth) }} - 1 as varchar)
        || ' and not earned' as reason
    from customers
    where {{ "steps > " ~ nth if by_step else "false" }}
    {%- else %}
    select
        customer_id,
        0 as change_no,
        0 as from_position,
        0 as position,
        tier_since as changed_on,
        tier_since,
        kept_until,
        '' as reason
    from customers
    where false
    {%- endfor %}
),

changed as (
    select
        customer_id,
        last_change_no + {{ "greatest(steps, 1)" if by_step else "1" }} as change_no,
        case
            when is_first then 0
            else held_position - {{ "greatest(steps - 1, 0)" if by_step else "0" }}
        end as from_position,
        position,
        case when steps > 0 then tier_since else {{ as_of_date() }} end as changed_on,
        tier_since,
        kept_until,
        case
            when is_from_crm then 'the tier of the CRM when first seen'
            when is_first then 'first seen'
            when position > held_position then 'earned'
            when steps > 0 then 'kept for its time and not earned'
            when kept_until is null then 'earned again'
            else 'no longer earned'
        end as reason
    from customers
    where
        is_first
        or tier is distinct from previous_tier
        or kept_until is distinct from previous_kept_until
),

new_changes as (
    select * from passed
    union all
    select * from changed
),

final as (
    select
        customer_id,
        change_no,
        from_tier,
        tier,
        changed_on,
        tier_since,
        kept_until,
        reason,
        as_of,
        pack_hash
    from previous_changes
    where as_of < {{ as_of_utc() }}
    union all
    select
        customer_id,
        cast(change_no as integer) as change_no,
        {%- for column in ["from_position", "position"] %}
        case {{ column }}
            {%- for tier in tiers %}
            when {{ tier["position"] }} then {{ text_literal(tier["id"]) }}
            {%- else %}
            when -1 then ''
            {%- endfor %}
        end as {{ "from_tier" if column == "from_position" else "tier" }},
        {%- endfor %}
        coalesce(changed_on, {{ as_of_date() }}) as changed_on,
        tier_since,
        kept_until,
        reason,
        {{ as_of_utc() }} as as_of,
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from new_changes
)

select * from final
