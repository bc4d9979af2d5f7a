-- One row per customer: when they came, how much they buy, when they really left.
create or replace table cust as
with arrived as (
    select
        c::int as c,
        (d * 86400 + clock(rnd(c, 'registered at')))::int as reg,
        rnd(c, 'kind') as h,
        rnd(c, 'life') as hl
    from (select d, unnest(range(first_customer, next_customer)) as c from day)
    where getvariable('share') = 1 or u(rnd(c, getvariable('share_tag')), 0) < getvariable('share')
),
typed as (
    select
        *,
        u(h, 0) < 0.15 as is_company,
        case when u(h, 1) < 0.70 then 'online' when u(h, 1) < 0.85 then 'both' else 'store' end as home,
        case getvariable('lang') when 'zh' then 'zh' when 'en' then 'en'
            else case when u(h, 2) < 0.85 then 'zh' else 'en' end end as lang,
        u(h, 3) as luck,
        -- gamma with shape one half: most buy rarely, a few very often
        0.007 + 0.035 * pow(normal(rnd(c, 'rate')), 2) as rate
    from arrived
),
lives as (
    select
        *,
        luck < 0.07 as never_buys,
        (reg + 600 + -ln(wide(hl, 0)) * 5 * 86400)::bigint as first_order,
        case
            when wide(rnd(c, 'one-off'), 0) < 0.07 then 5
            else 10 + (-ln(wide(hl, 1))) * 1500 * (0.6 + least(rate, 0.1) * 20)
        end as life_days
    from typed
),
ended as (
    select
        * exclude (first_order),
        seen(case when not never_buys then first_order end)::int as first_order,
        seen(case when never_buys then reg else first_order end + (life_days * 86400)::bigint)::int as left_at
    from lives
),
windows as (
    select
        e.*,
        coalesce(e.left_at, getvariable('t_end'))::int as until,
        r.first_slot as reg_slot,
        f.first_slot + f.slots as from_slot,
        t.first_slot as to_slot
    from ended e
    join day r on r.d = e.reg // 86400
    left join day f on f.d = e.first_order // 86400
    join day t on t.d = coalesce(e.left_at, getvariable('t_end')) // 86400
),
paused as (
    select
        *,
        case
            when u(rnd(c, 'pause'), 0) < 0.2 and to_slot - from_slot > 5500
                then (2000 + 2400 * u(rnd(c, 'pause'), 1))::int
            else 0
        end as gap
    from windows
),
sized as (
    select
        *,
        (from_slot + u(rnd(c, 'pause'), 2) * (to_slot - from_slot - gap))::int as gap_from,
        greatest(0, coalesce(to_slot - from_slot - gap, 0)) as order_slots,
        greatest(0, to_slot - reg_slot - gap) as active_slots
    from paused
),
expected as (
    select
        *,
        rate * order_slots / 20 as mean_orders,
        (0.022 + rate * 2.3) * exp(0.5 * normal(rnd(c, 'activity'))) * active_slots / 20 as mean_interactions,
        (0.003 + rate * 0.5) * active_slots / 20 as mean_visits,
        0.5 + rate * 0.012 * active_slots / 20 as mean_tickets,
        rnd(c, 'orders') as h1, rnd(c, 'interactions') as h2, rnd(c, 'visits') as h3, rnd(c, 'tickets') as h4
    from sized
)
select
    * exclude (h, hl, luck, life_days, mean_orders, mean_interactions, mean_visits, mean_tickets, h1, h2, h3, h4),
    (first_order is not null)::int
    + case when first_order is null then 0 else least(600, poisson(mean_orders, h1)) end as n_orders,
    case when home = 'store' then 0 else 1 + least(4000, poisson(mean_interactions, h2)) end as n_interactions,
    case when home = 'online' then 0 else least(400, poisson(mean_visits, h3)) end as n_visits,
    least(20, poisson(mean_tickets, h4)) as n_tickets,
    u(rnd(c, 'member'), 0) < 0.35 + least(0.5, rate * 6) as is_member
from expected
order by c;
