-- Purchases of the last year, and longer ago where a replacement is still in sight.
create temp table products as
with listed as (
    select
        product_id,
        name,
        nullif(trim(category), '') as category,
        if(replacement_days between 1 and 36500, replacement_days, null)::integer as replacement_days
    from read_parquet(getvariable('lake') || '/products/*/rows.parquet')
),
sold as (
    select distinct product_id
    from read_parquet(getvariable('lake') || '/order_lines/*/rows.parquet')
    where product_id is not null
)
select
    *,
    (row_number() over (order by product_id))::integer as product_no,
    getvariable('today') - greatest(365, coalesce(replacement_days + 30, 0)) as kept_from
from listed
full join sold using (product_id);

create temp table purchases as
with recent_orders as (
    select order_id, customer_id, ordered_at, ordered_on, rate
    from fct_orders
    left join rates using (currency)
    where is_counted and ordered_on >= (select min(kept_from) from products)
)
select
    customer_id,
    hash(l.order_id) as basket,
    product_no,
    ordered_at,
    ordered_on as bought_on,
    coalesce(l.amount, (quantity * unit_price)::decimal(18, 4)) as price,
    if(rate is null, price, (rate * price)::decimal(18, 4)) as amount
from read_parquet(getvariable('lake') || '/order_lines/*/rows.parquet') as l
join recent_orders using (order_id)
join products using (product_id)
where ordered_on >= kept_from;

create temp table categories_by_customer as
with counted as (
    select
        customer_id,
        category,
        count(*) as purchases,
        coalesce(sum(amount), 0) as amount,
        max(ordered_at) as last_at,
        local_date(max(ordered_at)) as last_on
    from purchases
    join products using (product_no)
    where bought_on >= getvariable('today') - 365 and category is not null
    group by customer_id, category
)
select
    customer_id,
    sum(purchases)::integer as all_purchases,
    max({'events': purchases, 'last_at': last_at, 'category': category}) as most,
    arg_min(category, (-purchases, -amount, getvariable('today') - last_on, category)) as favourite
from counted
group by customer_id;

create table fct_replacements_due as
with bought as (
    select customer_id, product_no, replacement_days, max(bought_on) as last_bought_on
    from purchases
    join products using (product_no)
    where bought_on >= getvariable('today') - (replacement_days + 30)
    group by customer_id, product_no, replacement_days
    having max(bought_on) <= getvariable('today') - (replacement_days - 30)
)
select
    customer_id,
    product_id,
    b.replacement_days,
    last_bought_on,
    last_bought_on + b.replacement_days as due_on,
    (due_on - getvariable('today'))::integer as days_until,
    case
        when days_until < 0 then 'overdue' when days_until <= 14 then 'due' else 'upcoming'
    end as state
from bought as b
join products using (product_no);

create temp table baskets as
with drawn as (
    select distinct basket, product_no
    from purchases
    where
        bought_on >= getvariable('today') - 365
        and (basket >> 32) / 4294967296 < (
            select 200000 / nullif(count(*), 0)
            from fct_orders
            where is_counted and ordered_on >= getvariable('today') - 365
        )
)
select *
from drawn
qualify count(*) over (partition by basket) <= 100;

create table fct_product_associations as
with total as (
    select count(distinct basket) as baskets from baskets
),
frequent as (
    select product_no, count(*) as baskets
    from baskets
    group by product_no
    having count(*) >= 20
),
pairs as (
    select o.product_no, a.product_no as associated_no, count(*) as together
    from baskets as o
    join baskets as a on o.basket = a.basket and o.product_no <> a.product_no
    where o.product_no in (select product_no from frequent)
    group by o.product_no, a.product_no
    having count(*) >= 20
),
ranked as (
    select
        p.product_no,
        associated_no,
        one.baskets,
        other.baskets as associated_baskets,
        together,
        together / total.baskets as support,
        together / one.baskets as confidence,
        together * total.baskets / (one.baskets * other.baskets) as lift,
        row_number() over (
            partition by p.product_no order by confidence desc, lift desc, associated_no
        ) as rank
    from pairs as p
    join frequent as one using (product_no)
    join frequent as other on associated_no = other.product_no
    cross join total
    where confidence >= 0.02 and lift >= 1.2
    qualify rank <= 5
)
select
    one.product_id,
    other.product_id as associated_product_id,
    rank,
    baskets,
    associated_baskets,
    together,
    support,
    confidence,
    lift,
    concat(
        round(100 * confidence, 1), ' % of those who bought ', coalesce(one.name, one.product_id), ' (',
        together, ' of ', baskets, ') also bought this, ', round(lift, 1), ' times the usual share'
    ) as reason_en,
    concat(
        '购买过', coalesce(one.name, one.product_id), '的客户中有 ', round(100 * confidence, 1), '%（',
        baskets, ' 中的 ', together, '）也购买了本产品，是通常比例的 ', round(lift, 1), ' 倍'
    ) as reason_zh
from ranked
join products as one using (product_no)
join products as other on associated_no = other.product_no;

create table fct_customer_next_products as
with rules as (
    select
        a.* exclude (rank),
        one.product_no,
        other.product_no as associated_no,
        row_number() over (order by confidence desc, lift desc, one.product_no, other.product_no) as rule_no
    from fct_product_associations as a
    join products as one using (product_id)
    join products as other on associated_product_id = other.product_id
),
candidates as (
    select customer_id, associated_no, min(rule_no) as rule_no
    from purchases
    join rules using (product_no)
    where bought_on >= getvariable('today') - 90
    group by customer_id, associated_no
),
ranked as (
    select
        customer_id,
        rule_no,
        row_number() over (partition by customer_id order by rule_no) as rank
    from candidates as c
    anti join (
        select customer_id, product_no as associated_no
        from purchases
        where bought_on >= getvariable('today') - 365
    ) using (customer_id, associated_no)
    qualify rank <= 3
)
select
    customer_id,
    rank,
    associated_product_id as product_id,
    product_id as because_of_product_id,
    confidence,
    lift,
    reason_en,
    reason_zh
from ranked
join rules using (rule_no);
drop table purchases;
drop table baskets;
