select
    ticket_id as 工单号, customer_no(c) as 会员号, order_id as 订单号, wall(opened) as 提交时间,
    case kind when 'complaint' then '投诉' when 'enquiry' then '咨询' when 'fault' then '故障' when 'return' then '退换' else '建议' end as 类型,
    category as 分类, case urgency when 'urgent' then '紧急' when 'general' then '一般' else '建议' end as 紧急程度,
    case when is_complex then '是' else '否' end as 是否复杂, wall(responded) as 响应时间, wall(resolved_now) as 解决时间, wall(closed) as 关闭时间,
    description as 描述, result as 处理结果,
    case confirmation when 'satisfied' then '满意' when 'fairly_satisfied' then '一般' when 'dissatisfied' then '不满意' end as 客户确认,
    wall(updated) as 更新时间
from ticket where in_store
order by c, k
