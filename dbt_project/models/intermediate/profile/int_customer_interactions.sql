with

interactions as (
    select * from {{ ref("stg_interactions") }}
),

counted as (
    select
        customer_id,
        count(*) as interactions_total,
        {%- for window in ["short", "medium", "long"] %}
        count(*) filter (where occurred_at >= {{ window_start(window) }})
            as interactions_{{ window }},
        {%- endfor %}
        {%- for window in ["short", "medium"] %}
        count(*) filter (where kind = 'login' and occurred_at >= {{ window_start(window) }})
            as logins_{{ window }},
        {%- endfor %}
        min(occurred_at) as first_interaction_at,
        max(occurred_at) as last_interaction_at
    from interactions
    group by customer_id
),

final as (
    select
        *,
        cume_dist() over (order by interactions_total) as interaction_rank
    from counted
)

select * from final
