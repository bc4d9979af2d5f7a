with

profile as (
    select * from {{ ref("int_customer_profile") }}
),

matched as (
    select
        *,
        {{ first_matching("segments") }} as segment_position,
        {{ first_matching("stages") }} as stage_position
    from profile
),

final as (
    select
        customer_id,
        segment_position,
        {{ rule_name("segments", "segment_position") }} as segment,
        {{ rule_reason("segments", "segment_position") }} as segment_reason,
        stage_position,
        {{ rule_name("stages", "stage_position") }} as stage,
        {{ rule_reason("stages", "stage_position") }} as stage_reason
    from matched
)

select * from final
