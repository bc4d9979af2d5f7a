select
    order_id(c, k, false) as order_no, line_no, product_no(p) as sku, quantity, (price_cents(p) / 100)::decimal(12, 2) as unit_price,
    (price_cents(p) * quantity / 100)::decimal(12, 2) as amount
from line where not in_store
order by c, k, line_no
