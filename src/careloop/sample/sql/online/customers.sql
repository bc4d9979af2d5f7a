select
    customer_no(c) as customer_no, customer_type as type, utc(reg) as registered_at, cooperation_start_on, birthday, sex,
    case when rnd(c, 'gap region') % 20 > 0 then region end as region, industry, company_founded_on, utc(member_from) as member_since,
    member_tier, is_strategic, account_manager_id, preferred_channel, preferred_contact_time, locale, source_channel, service_package,
    interests, utc(updated) as updated_at
from profile where home <> 'store'
order by c
