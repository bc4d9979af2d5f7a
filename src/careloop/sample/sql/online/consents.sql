with asked as (
    select c, reg, until, left_at, unnest(range(7)) as i from cust where home <> 'store'
),
offered as (
    select
        *, rnd(row_no(c, i), 'consent') as h,
        ['service', 'care', 'care', 'marketing', 'marketing', 'marketing', 'survey'][i + 1] as purpose,
        ['sms', 'sms', 'wecom', 'email', 'sms', 'push', 'email'][i + 1] as channel,
        [0.95, 0.75, 0.55, 0.6, 0.55, 0.5, 0.6][i + 1] as share
    from asked
),
changes as (
    select *, unnest(range(case when u(h, 1) < 0.2 then case when u(h, 1) < 0.04 then 3 else 2 end else 1 end)) as j
    from offered where u(h, 0) < share
)
select
    customer_no(c) as customer_no, purpose, channel,
    utc(case j when 0 then reg + i else reg + 60 + j * 10 + floor((u(h, 2) + j - 1) / 2 * (until - reg - 120))::int end) as changed_at,
    j % 2 = 0 and (j > 0 or u(h, 1) < 0.92) as granted,
    case j when 0 then 'registration' when 1 then case when u(h, 3) < 0.6 then 'unsubscribe_link' else 'service_desk' end else 'preference_page' end as source
from changes where until - reg > 600 or j = 0
order by c, i, j
