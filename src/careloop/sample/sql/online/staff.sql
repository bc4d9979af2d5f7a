with numbered as (
    select i::int as i, getvariable('managers') as m, getvariable('agents') as a from range(getvariable('staff') + 5) t(i)
)
select
    staff_no(i) as staff_id,
    case when getvariable('lang') = 'en' then pick(getvariable('first_female'), rnd(i, 'staff')) || ' ' || pick(getvariable('last_names'), rnd(i, 'staff family'))
        else pick(getvariable('surnames'), rnd(i, 'staff family')) || pick(getvariable('given_female'), rnd(i, 'staff')) end as name,
    case when i < m then 'account_manager' when i < m + a then 'service' when i < getvariable('staff') then 'supervisor' else 'department_head' end as role,
    case when i < m then 'sales' when i < m + a then ['service', 'after_sales', 'technical', 'logistics'][1 + i % 4]
        when i < getvariable('staff') then ['sales', 'service', 'after_sales', 'technical', 'logistics'][1 + i % 5]
        else ['sales', 'service', 'after_sales', 'technical', 'logistics'][1 + i - getvariable('staff')] end as department,
    case when i < m then staff_no(m + a) when i < m + a then staff_no(m + a + 1 + i % (getvariable('staff') - m - a - 1)) end as supervisor_id,
    'staff' || (1001 + i) || '@example.com' as email,
    rnd(i, 'active') % 25 > 0 or i >= m + a as is_active
from numbered order by i
