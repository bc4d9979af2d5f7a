-- The company keeps a ledger of points: its entries hold, and what expired in silence is added
-- unless the ledger writes off expired points itself.
create table fct_points as
select
    entry_id,
    customer_id,
    "at" as entered_at,
    local_date("at") as entered_on,
    coalesce(p.reason, 'unknown') as reason,
    round(p.points)::bigint as points,
    if(p.points > 0, p.expires_on, null) as expires_on,
    'crm' as origin,
    null::varchar as campaign,
    null::double as factor
from read_parquet(getvariable('lake') || '/points/*/rows.parquet') as p
where "at" <= getvariable('as_of');

create temp table points_by_customer as
select
    customer_id,
    sum(points) as balance,
    coalesce(-sum(points) filter (where points < 0), 0) as gone,
    coalesce(-sum(points) filter (where points < 0 and reason = 'expire'), 0) as written_off,
    coalesce(sum(points) filter (where ends_on < getvariable('today')), 0) as ended,
    coalesce(sum(points) filter (where ends_on < getvariable('today') + 60), 0) as ending,
    min(ends_on) filter (where ends_on >= getvariable('today')) as next_end
from (
    select
        *,
        if(points > 0 and expires_on is not null, greatest(expires_on, entered_on), null) as ends_on
    from fct_points
)
group by customer_id;

-- First expiring, first used. By each day those of the points ended by then are lost that exceed
-- what was used before; lost stays lost, but never more than the lowest balance from then on.
-- Nobody can lose more than has ended, so that only those need a look of whom the ledger has not
-- written off as much.
create temp table expiries as
with owners as (
    select customer_id, written_off
    from points_by_customer
    where ended > written_off and not exists (from fct_points where reason = 'expire')
),
entries as (
    select fct_points.*
    from fct_points
    semi join owners using (customer_id)
),
lots as (
    select customer_id, greatest(expires_on, entered_on) + 1 as day, sum(points) as points
    from entries
    where points > 0 and expires_on is not null and greatest(expires_on, entered_on) < getvariable('today')
    group by customer_id, day
),
moved as (
    select customer_id, entered_on, points
    from entries
    where points > 0 or reason <> 'expire'
),
events as (
    select customer_id, entered_on as day, points as moved, 0 as unused from moved
    union all
    -- What is used on a day comes before what ends with that day.
    select customer_id, entered_on + 1, 0, points from moved where points < 0
    union all
    select customer_id, day, 0, points from lots
),
summed as (
    select customer_id, day, sum(sum(moved)) over days as balance, sum(sum(unused)) over days as unused
    from events
    group by customer_id, day
    window days as (partition by customer_id order by day)
),
walked as (
    select
        customer_id,
        day,
        least(
            max(unused) over (partition by customer_id order by day),
            min(balance) over (
                partition by customer_id order by day rows between current row and unbounded following
            )
        ) as lost
    from summed
)
select
    customer_id,
    day,
    (lost - written_off - greatest(lag(lost - written_off, 1, 0) over (
        partition by customer_id order by day
    ), 0))::bigint as points
from walked
join owners using (customer_id)
where day <= getvariable('today') and lost > written_off
qualify points > 0;

insert into fct_points
select
    customer_id || ' ' || day || ' expire', customer_id, day - interval 8 hours, day, 'expire', -points,
    null, 'expiry', null, null
from expiries;

create temp table point_balances as
with expired as (
    select customer_id, sum(points) as points
    from expiries
    group by customer_id
),
balances as (
    select
        customer_id,
        balance - coalesce(points, 0) as balance,
        gone + coalesce(points, 0) as gone,
        ended,
        ending,
        next_end
    from points_by_customer
    left join expired using (customer_id)
),
-- Points used beyond those already expired come off those that expire next.
open_lots as (
    select
        customer_id,
        greatest(expires_on, entered_on) as ends_on,
        sum(sum(points)) over (partition by customer_id order by ends_on) as points
    from fct_points
    semi join (from balances where gone > ended) using (customer_id)
    where points > 0 and expires_on is not null and greatest(expires_on, entered_on) >= getvariable('today')
    group by customer_id, greatest(expires_on, entered_on)
),
next_ends as (
    select customer_id, min(ends_on) as next_end
    from open_lots
    join balances using (customer_id)
    where ended + points > gone
    group by customer_id
)
select
    customer_id,
    balance::bigint as balance,
    greatest(ending - gone, 0)::bigint as expiring,
    if(gone > ended, n.next_end, b.next_end) as next_expiry_on
from balances as b
left join next_ends as n using (customer_id);

-- retail_care pays nothing for referrals.
create table fct_referral_rewards (
    referral_id varchar, referrer_id varchar, referred_id varchar, converted_at timestamp,
    converted_on date, nth integer, reward_share double, base_amount decimal(18, 4),
    reward_amount decimal(18, 2)
);
