with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

matched as (
    select
        *,
        {{ first_matching("activity_levels") }} as activity_position
    from profile
),

final as (
    select
        customer_id,
        activity_position,
        {{ rule_name("activity_levels", "activity_position") }} as activity_level,
        {{ rule_reason("activity_levels", "activity_position") }} as activity_reason
    from matched
)

select * from final
