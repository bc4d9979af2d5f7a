with

all_entries as (
    select * from {{ ref("int_point_entries") }}
),

-- A CRM that writes off expired points does so by its own clock: nothing is added to it.
entries as (
    select * from all_entries
    where not exists (
        select 1
        from all_entries as written_off
        where written_off.reason = 'expire'
    )
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

users as (
    select distinct customer_id
    from entries
    where points < 0
),

-- Whoever used nothing loses each lot whole; only the others need the walk below.
untouched as (
    select lots.*
    from lots
    left join users on lots.customer_id = users.customer_id
    where users.customer_id is null
),

losers as (
    select distinct lots.customer_id
    from lots
    inner join users on lots.customer_id = users.customer_id
),

moved as (
    select
        entries.customer_id,
        entries.entered_on,
        sum(entries.points) as points,
        -sum(entries.points) filter (where entries.points < 0) as used
    from entries
    inner join losers on entries.customer_id = losers.customer_id
    group by entries.customer_id, entries.entered_on
),

events as (
    select
        customer_id,
        entered_on as day,
        points as moved,
        0 as unused
    from moved
    union all
    -- What is used on a day comes before what ends with that day.
    select
        customer_id,
        entered_on + 1 as day,
        0 as moved,
        -used as unused
    from moved
    where used > 0
    union all
    select
        lots.customer_id,
        lots.day,
        0 as moved,
        lots.points as unused
    from lots
    inner join losers on lots.customer_id = losers.customer_id
),

summed as (
    select
        customer_id,
        day,
        sum(sum(moved)) over days as balance,
        sum(sum(unused)) over days as unused
    from events
    group by customer_id, day
    window days as (
        partition by customer_id order by day
        rows between unbounded preceding and current row
    )
),

-- First expiring, first used: of the points whose time has ended by a day, those are lost that
-- exceed everything used before it. What was lost stays lost, hence the highest so far; what
-- the CRM let be used later was not lost, hence the lowest balance from then on.
walked as (
    select
        customer_id,
        day,
        least(
            max(unused) over (
                partition by customer_id order by day
                rows between unbounded preceding and current row
            ),
            min(balance) over (
                partition by customer_id order by day
                rows between current row and unbounded following
            )
        ) as lost
    from summed
),

increments as (
    select
        customer_id,
        day,
        lost - lag(lost, 1, 0) over (partition by customer_id order by day) as points
    from walked
    where lost > 0 and day <= {{ as_of_date() }}
),

final as (
    select
        customer_id,
        day as expired_on,
        cast(points as bigint) as points
    from increments
    where points > 0
    union all
    select
        customer_id,
        day as expired_on,
        points
    from untouched
)

select * from final
