{{ config(materialized="view") }}

{%- set by_step = "'" ~ optional_setting_text("loyalty.drop", "one_step") ~ "' = 'one_step'" -%}

with

previous_changes as (
    select * from {{ source("run", "previous_customer_tier_changes") }}
),

customers as (
    select * from {{ ref("int_customer_tier_walk") }}
),

tiers as (
    select * from {{ source("program", "tiers") }}
),

-- All steps but the last of those who went down several while no run happened.
passed as (
    select
        customers.customer_id,
        customers.last_change_no + tiers.position as change_no,
        customers.held_position - tiers.position + 1 as from_position,
        customers.held_position - tiers.position as position,
        {{ tier_drop_on("customers.held_until", "tiers.position") }} as changed_on,
        {{ tier_drop_on("customers.held_until", "tiers.position") }} as tier_since,
        {{ tier_drop_on("customers.held_until", "tiers.position + 1") }} - 1 as kept_until,
        'kept for its time and not earned' as reason
    from customers
    inner join tiers on customers.steps > tiers.position
    where {{ by_step }}
),

changed as (
    select
        customer_id,
        last_change_no + case when {{ by_step }} then greatest(steps, 1) else 1 end as change_no,
        case
            when is_first then 0
            when {{ by_step }} then held_position - greatest(steps - 1, 0)
            else held_position
        end as from_position,
        position,
        case when steps > 0 then reached_on else {{ as_of_date() }} end as changed_on,
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
        {{ tier_name("from_position") }} as from_tier,
        {{ tier_name("position") }} as tier,
        changed_on,
        tier_since,
        kept_until,
        reason,
        {{ as_of_utc() }} as as_of,
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from new_changes
)

select * from final
