select
    customer_no(c) as 会员号, case when is_company then company else full_name end as 姓名,
    case when is_company then '企业' else '个人' end as 类型,
    case sex when 'female' then '女' when 'male' then '男' when 'other' then '其他' end as 性别,
    case when rnd(c, 'gap store') % 4 > 0 then strftime(birthday, '%Y/%m/%d') end as 生日,
    case when rnd(c, 'gap store') % 3 > 0 then phone end as 手机, region as 地区, industry as 行业,
    case member_tier when 'standard' then '普通' when 'gold' then '金卡' when 'platinum' then '白金' when 'diamond' then '钻石' end as 会员等级,
    strftime(wall(reg), '%Y/%m/%d %H:%M:%S') as 登记时间,
    case when u(rnd(c, 'store consent'), 0) < 0.6 then '是' when u(rnd(c, 'store consent'), 0) < 0.9 then '否' end as 同意营销短信,
    strftime(wall(updated), '%Y/%m/%d %H:%M:%S') as 更新时间
from person where home <> 'online'
order by c
