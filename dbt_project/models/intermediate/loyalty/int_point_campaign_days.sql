with

campaigns as (
    select * from {{ source("program", "point_campaigns") }}
),

occasion_days as (
    select * from {{ source("program", "occasion_days") }}
),

earnings as (
    select * from {{ source("program", "point_earnings") }}
),

days as (
    select * from {{ source("program", "calendar_days") }}
),

spans as (
    select
        id,
        position,
        factor,
        reasons,
        first_day,
        last_day
    from campaigns
    where occasion is null
    union all
    select
        campaigns.id,
        campaigns.position,
        campaigns.factor,
        campaigns.reasons,
        cast(occasion_days.date - cast(campaigns.days_before as integer) as date) as first_day,
        cast(occasion_days.date + cast(campaigns.days_after as integer) as date) as last_day
    from campaigns
    inner join occasion_days on campaigns.occasion = occasion_days.occasion
),

ranked as (
    select
        earnings.reason,
        days.date as day,
        spans.id as campaign,
        spans.factor,
        row_number() over (
            partition by earnings.reason, days.date
            order by spans.factor desc, spans.position asc, spans.first_day asc
        ) as place
    from spans
    inner join days on days.date between spans.first_day and spans.last_day
    inner join earnings
        on
            spans.reasons = ''
            or ', ' || spans.reasons || ', ' like '%, ' || earnings.reason || ', %'
),

final as (
    select
        reason,
        day,
        campaign,
        factor
    from ranked
    where place = 1
)

select * from final
