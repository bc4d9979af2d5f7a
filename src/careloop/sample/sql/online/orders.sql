select
    order_id(c, k, false) as order_no, customer_no(c) as customer_no, utc(ordered) as ordered_at, status,
    ((total - discount) / 100)::decimal(12, 2) as amount, (discount / 100)::decimal(12, 2) as discount_amount, 'CNY' as currency,
    case when is_company and (c + k) % 3 > 0 then 'sales' when (c + k) % 7 < 4 then 'app' when (c * 3 + k) % 5 < 3 then 'mini_program' else 'web' end as channel,
    utc(paid) as paid_at, utc(shipped) as shipped_at, utc(promised) as promised_at, utc(delivered) as delivered_at,
    utc(cancelled) as cancelled_at, utc(order_updated(ordered, paid, shipped, delivered, cancelled)) as updated_at
from ord where not in_store
order by c, k
