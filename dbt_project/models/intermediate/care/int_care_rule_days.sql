with

days as (
    select * from {{ ref("int_care_days") }}
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
        rule,
        came_up_on,
        occasion_on,
        expires_at,
        due_at,
        229 as month_day
    from came_up
    where {{ month_day("occasion_on") }} = 228 and {{ month_day("occasion_on + 1") }} = 301
)

select * from final
