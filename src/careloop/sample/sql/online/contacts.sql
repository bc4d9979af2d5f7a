select
    customer_no(c) as customer_no, case when not is_company then full_name end as name, company as company_name,
    case when is_company then full_name end as contact_person, position as job_title, phone as mobile, email, wecom_id,
    push_token, address, utc(updated) as updated_at
from person where home <> 'store'
order by c
