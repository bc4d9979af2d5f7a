with came as (
    select c as referred, reg, first_order, floor(c * pow(u(rnd(c, 'referrer'), 0), 2.5))::int as referrer, 0 as e,
        reg - 3600 - floor(u(rnd(c, 'referrer'), 1) * 5 * 86400)::int as moment
    from profile where source_channel = 'referral' and home <> 'store'
    union all
    select null, null, null, c, 1, reg + floor(u(rnd(c, 'invited'), 1) * (until - reg))::int
    from cust where home <> 'store' and u(rnd(c, 'invited'), 0) < 0.03
)
select
    row_id('X', coalesce(r.referred, r.referrer), 1 + e) as referral_id, customer_no(r.referrer) as referrer_no,
    customer_no(r.referred) as referred_no, utc(r.moment) as "at", utc(r.first_order) as converted_at
from came r
join cust g on g.c = r.referrer and g.home <> 'store' and g.reg < r.moment
order by 1
