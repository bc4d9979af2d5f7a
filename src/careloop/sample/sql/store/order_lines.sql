select
    order_id(c, k, true) as 订单号, line_no as 行号, product_no(p) as 商品编码, quantity as 数量,
    (price_cents(p) / 100)::decimal(12, 2) as 单价, (price_cents(p) * quantity / 100)::decimal(12, 2) as 金额
from line where in_store
order by c, k, line_no
