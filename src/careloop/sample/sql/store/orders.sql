select
    order_id(c, k, true) as 订单号, customer_no(c) as 会员号, wall(ordered) as 下单时间,
    case status when 'completed' then '已完成' when 'returned' then '已退货' else '已付款' end as 状态,
    ((total - discount) / 100)::decimal(12, 2) as 实付金额, (discount / 100)::decimal(12, 2) as 优惠金额,
    'M' || lpad((1 + rnd(c, 'store') % 38)::varchar, 3, '0') as 门店, wall(cancelled) as 退货时间,
    wall(order_updated(ordered, paid, shipped, delivered, cancelled)) as 更新时间
from ord where in_store
order by c, k
