with

days as (
    select * from {{ ref("int_care_days") }}
),

anniversaries as (
    select rule from {{ source("program", "rules") }}
    where trigger = 'anniversary'
),

came_up as (
    {{ care_rule_days() }}
),

final as (
    select
        rule,
        came_up_on,
        occasion_on,
        expires_at,
        due_at,
        cast({{ month_day("occasion_on") }} as integer) as month_day
    from came_up
    union all
    -- Who was born on 29 February celebrates on the 28th where there is no 29th.
    select
        came_up.rule,
        came_up.came_up_on,
        came_up.occasion_on,
        came_up.expires_at,
        came_up.due_at,
        229 as month_day
    from came_up
    inner join anniversaries on came_up.rule = anniversaries.rule
    where
        {{ month_day("came_up.occasion_on") }} = 228
        and {{ month_day("came_up.occasion_on + 1") }} = 301
)

select * from final
