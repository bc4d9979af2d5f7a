{%- set window = optional_setting_text("loyalty.window", "total") -%}
{%- set keep_for = optional_setting_text("loyalty.keep_for", "1y") -%}
{%- set by_step = optional_setting_text("loyalty.drop", "one_step") == "one_step" -%}

with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

crm as (
    select * from {{ ref("stg_customers") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

customer_interactions as (
    select * from {{ ref("int_customer_interactions") }}
),

tiers as (
    select * from {{ source("program", "tiers") }}
),

changes as (
    select * from {{ source("run", "previous_customer_tier_changes") }}
    where as_of < {{ as_of_utc() }}
),

last_changes as (
    select
        customer_id,
        max(change_no) as change_no
    from changes
    group by customer_id
),

previous as (
    select changes.*
    from changes
    inner join last_changes
        on
            changes.customer_id = last_changes.customer_id
            and changes.change_no = last_changes.change_no
),

measured as (
    select
        profile.customer_id,
        crm.member_tier,
        {{ local_date("crm.member_since") }} as member_since_on,
        cast(coalesce(customer_orders.spend_{{ window }}, 0) as decimal(18, 4)) as spend,
        cast(coalesce(customer_interactions.interactions_{{ window }}, 0) as bigint)
            as interactions
    from profile
    left join crm on profile.customer_id = crm.customer_id
    left join customer_orders on profile.customer_id = customer_orders.customer_id
    left join customer_interactions
        on profile.customer_id = customer_interactions.customer_id
    where exists (select 1 from tiers)
),

placed as (
    select
        measured.*,
        previous.customer_id is null as is_first,
        coalesce(previous.change_no, 0) as last_change_no,
        previous.tier as previous_tier,
        previous.tier_since as previous_since,
        previous.kept_until as previous_kept_until,
        {{ earned_tier_position("measured.spend", "measured.interactions") }} as earned_position,
        {{ tier_position("previous.tier") }} as previous_position,
        {{ tier_position("measured.member_tier") }} as crm_position
    from measured
    left join previous on measured.customer_id = previous.customer_id
),

-- Who earned the tier until the last run is taken to have earned it until yesterday, so that
-- days without a run cost nobody anything.
held as (
    select
        *,
        is_first and crm_position > earned_position as is_from_crm,
        case when is_first then greatest(crm_position, earned_position) else previous_position end
            as held_position,
        case
            when is_first then {{ plus_duration(as_of_date(), keep_for) }}
            else coalesce(
                previous_kept_until,
                {{ plus_duration("(" ~ as_of_date() ~ " - 1)", keep_for) }}
            )
        end as held_until
    from placed
),

stepped as (
    select
        *,
        {{ tiers_lost("held_position", "earned_position", "held_until") }} as steps
    from held
),

settled as (
    select
        *,
        greatest(held_position - steps, earned_position) as position,
        case
            when is_from_crm then coalesce(member_since_on, {{ as_of_date() }})
            when is_first or earned_position > held_position then {{ as_of_date() }}
            when steps = 0 then previous_since
            else {{ tier_drop_on("held_until", "steps" if by_step else "1") }}
        end as reached_on
    from stepped
),

final as (
    select
        customer_id,
        cast(position as integer) as position,
        {{ tier_name("position") }} as tier,
        reached_on,
        case when position > 0 then reached_on end as tier_since,
        case
            when earned_position >= position then null
            when steps = 0 then held_until
            else {{ plus_duration("reached_on", keep_for) }}
        end as kept_until,
        cast(earned_position as integer) as earned_position,
        cast(held_position as integer) as held_position,
        case when steps > 0 then held_until end as held_until,
        cast(steps as integer) as steps,
        is_from_crm,
        is_first,
        previous_tier,
        previous_kept_until,
        cast(last_change_no as integer) as last_change_no,
        spend,
        interactions
    from settled
)

select * from final
