with

entries as (
    select * from {{ ref("int_point_entries") }}
),

-- Points can be used up to and on the day they expire on; the day after they are gone.
lots as (
    select
        customer_id,
        greatest(expires_on, entered_on) + 1 as day,
        cast(sum(points) as bigint) as points
    from entries
    where
        points > 0 and greatest(expires_on, entered_on) < {{ as_of_date() }}
        and expires_on is not null
    group by customer_id, greatest(expires_on, entered_on) + 1
),

used as (
    select
        customer_id,
        entered_on + 1 as day,
        cast(-sum(points) as bigint) as points
    from entries
    where points < 0 and reason <> 'expire'
    group by customer_id, entered_on + 1
),

expired_by_crm as (
    select
        customer_id,
        cast(-sum(points) as bigint) as points
    from entries
    where points < 0 and reason = 'expire'
    group by customer_id
),

-- Whoever used or lost nothing loses each lot whole; only the others need the walk below.
untouched as (
    select lots.*
    from lots
    left join used on lots.customer_id = used.customer_id
    left join expired_by_crm on lots.customer_id = expired_by_crm.customer_id
    where used.customer_id is null and expired_by_crm.customer_id is null
),

events as (
    select
        lots.customer_id,
        lots.day,
        lots.points as ended,
        0 as used
    from lots
    left join untouched
        on lots.customer_id = untouched.customer_id and lots.day = untouched.day
    where untouched.customer_id is null
    union all
    select
        customer_id,
        day,
        0 as ended,
        points as used
    from used
    where day <= {{ as_of_date() }}
),

summed as (
    select
        customer_id,
        day,
        sum(sum(ended) - sum(used)) over (
            partition by customer_id order by day
            rows between unbounded preceding and current row
        ) as unused
    from events
    group by customer_id, day
),

-- First expiring, first used: of the points whose time has ended by a day, those are lost that
-- exceed everything used before it. What was lost stays lost, hence the highest so far.
walked as (
    select
        customer_id,
        day,
        max(unused) over (
            partition by customer_id order by day
            rows between unbounded preceding and current row
        ) as lost,
        max(unused) over (
            partition by customer_id order by day
            rows between unbounded preceding and 1 preceding
        ) as lost_before
    from summed
),

-- What the CRM wrote off itself is taken from the earliest.
remaining as (
    select
        walked.customer_id,
        walked.day as expired_on,
        greatest(walked.lost - coalesce(expired_by_crm.points, 0), 0)
        - greatest(coalesce(walked.lost_before, 0) - coalesce(expired_by_crm.points, 0), 0)
            as points
    from walked
    left join expired_by_crm on walked.customer_id = expired_by_crm.customer_id
),

final as (
    select
        customer_id,
        expired_on,
        cast(points as bigint) as points
    from remaining
    where points > 0
    union all
    select
        customer_id,
        day as expired_on,
        points
    from untouched
)

select * from final
