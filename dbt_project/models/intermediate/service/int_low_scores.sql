with

surveys as (
    select
        *,
        {{ score_share() }} as share,
        coalesce(asked_at, answered_at) as began_at,
        -- Of an anonymous answer nobody knows what else was asked.
        case when customer_id is null then response_id end as anonymous_id
    from {{ ref("stg_surveys") }}
    where ticket_id is null
),

limits as (
    select * from {{ source("program", "low_scores") }}
),

touchpoints as (
    select id from {{ source("program", "touchpoints") }}
),

judged as (
    select
        surveys.*,
        limits.position,
        limits.urgency,
        limits.who,
        surveys.share <= limits.at_most as is_low,
        {{ window_end(
            "surveys.answered_at",
            "limits.solve_within_amount",
            "limits.solve_within_unit",
            "limits.solve_within_seconds",
        ) }} as due_at
    from surveys
    left join limits on surveys.kind = limits.kind
),

-- Several aspects asked at the same time are one survey.
asked as (
    select
        min(response_id) as response_id,
        customer_id,
        order_id,
        min(answered_at) filter (where is_low) as opened_at,
        min(due_at) filter (where is_low) as due_at,
        coalesce(bool_or(outcome is not null) filter (where is_low), false) as has_outcome,
        {{ first_row({
            "share": "share",
            "position": "position",
            "aspect": "coalesce(aspect, '')",
            "response_id": "response_id",
            "kind": "kind",
            "urgency": "urgency",
            "who": "who",
            "method": "method",
        }) }} filter (where is_low) as worst,
        cast(avg(cast(share as decimal(18, 9))) filter (where kind = 'csat') as decimal(5, 4))
            as satisfaction
    from judged
    group by customer_id, began_at, order_id, anonymous_id
),

final as (
    select
        asked.response_id,
        asked.customer_id,
        asked.order_id,
        asked.opened_at,
        asked.due_at,
        asked.has_outcome,
        asked.satisfaction,
        {{ field_of("asked.worst", "kind") }} as survey_kind,
        nullif({{ field_of("asked.worst", "aspect") }}, '') as aspect,
        {{ field_of("asked.worst", "share") }} as score_share,
        {{ field_of("asked.worst", "urgency") }} as urgency,
        {{ field_of("asked.worst", "who") }} as who,
        {{ field_of("asked.worst", "method") }} as channel,
        touchpoints.id as touchpoint
    from asked
    left join touchpoints on {{ field_of("asked.worst", "aspect") }} = touchpoints.id
    where asked.opened_at is not null
)

select * from final
