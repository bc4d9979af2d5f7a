with

interactions as (
    select * from {{ ref("stg_interactions") }}
),

churn_period as (
    select * from {{ ref("int_churn_period") }}
),

placed as (
    select
        interactions.*,
        churn_period.cutoff_at
    from interactions
    cross join churn_period
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
        {%- for window in ["short", "medium", "long"] %}
        count(*) filter (
            where kind in ({{ setting_list("profile.visit_kinds") }})
            and occurred_at >= {{ window_start(window) }}
        )
            as visits_{{ window }},
        {%- endfor %}
        count(*) filter (
            where kind in ({{ setting_list("profile.engagement_kinds") }})
            and occurred_at >= {{ window_start("medium") }}
        )
            as engagements_medium,
        -- Fractions add up to the same in any order only when rounded.
        coalesce(round(
            sum(dwell_seconds) filter (where occurred_at >= {{ window_start("short") }}), 3
        ), 0)
            as dwell_seconds_short,
        {%- for name, kinds in [
            ("login", "'login'"), ("visit", setting_list("profile.visit_kinds"))
        ] %}
        count(*) filter (where kind in ({{ kinds }})) as {{ name }}s_total,
        min(occurred_at) filter (where kind in ({{ kinds }})) as first_{{ name }}_at,
        max(occurred_at) filter (where kind in ({{ kinds }})) as last_{{ name }}_at,
        {%- endfor %}
        min(occurred_at) as first_interaction_at,
        max(occurred_at) as last_interaction_at,
        count(*) filter (where occurred_at < cutoff_at) as interactions_before_cutoff,
        max(occurred_at) filter (where occurred_at < cutoff_at)
            as last_interaction_before_cutoff_at
    from placed
    group by customer_id
),

final as (
    select
        *,
        cume_dist() over (order by interactions_total) as interaction_rank
    from counted
)

select * from final
