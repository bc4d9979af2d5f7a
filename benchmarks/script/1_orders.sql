-- Orders, what customers bought by day, and fct_orders. Everything of the script is in the numbers
-- of the pack retail_care. `lake` is the lake's folder, `as_of` a local midnight in UTC; Shanghai
-- has been eight hours ahead of UTC, without summer time, since 1992.
set variable today = (getvariable('as_of') + interval 8 hours)::date;
set variable short = getvariable('as_of') - interval 30 days;
set variable medium = getvariable('as_of') - interval 90 days;
set variable long = getvariable('as_of') - interval 365 days;
set variable half_year = getvariable('as_of') - interval 180 days;

create temp macro local_date(moment) as (moment + interval 8 hours)::date;
create temp macro seen(moment) as case when moment <= getvariable('as_of') then moment end;
create temp macro seconds(since, until) as ((epoch_us(until) - epoch_us(since)) / 1000000)::decimal(18, 6);

create temp table rates as
from (values ('USD', 7.1), ('EUR', 7.8), ('GBP', 9.2), ('HKD', 0.91), ('JPY', 0.047)) as r (currency, rate);

create temp view orders as
select
    *,
    coalesce(case
        when status in ('cancelled', 'returned') then cancelled_at > getvariable('as_of')
        when status in ('delivered', 'completed') then delivered_at > getvariable('as_of')
        when status = 'shipped' then shipped_at > getvariable('as_of')
        when status in ('paid', 'preparing') then paid_at > getvariable('as_of')
        else status is null
    end, false) as is_status_later,
    not coalesce(if(
        is_status_later, cancelled_at <= getvariable('as_of'), status in ('cancelled', 'returned')
    ), false) as is_counted,
    local_date(ordered_at) as ordered_on,
    if(rate is null, amount, (amount * rate)::decimal(18, 4)) as amount_program,
    seen(delivered_at) as arrived_at,
    case
        when arrived_at is not null then arrived_at > promised_at
        when is_counted and promised_at < getvariable('as_of') then true
    end as is_late
from read_parquet(getvariable('lake') || '/orders/*/rows.parquet')
left join rates using (currency)
where ordered_at <= getvariable('as_of');

-- The days and worths of the orders go along as lists: cheaper than grouping by day as well.
create temp table orders_by_customer as
with counted as (
    select
        customer_id,
        count(*) as orders_placed,
        (count(*) filter (where is_counted))::integer as orders_total,
        (count(*) filter (where is_counted and ordered_at >= getvariable('short')))::integer as orders_short,
        (count(*) filter (where is_counted and ordered_at >= getvariable('medium')))::integer as orders_medium,
        (count(*) filter (where is_counted and ordered_at >= getvariable('long')))::integer as orders_long,
        coalesce(sum(amount_program) filter (where is_counted), 0) as spend_total,
        coalesce(sum(amount_program) filter (where is_counted and ordered_at >= getvariable('short')), 0)
            as spend_short,
        coalesce(sum(amount_program) filter (where is_counted and ordered_at >= getvariable('medium')), 0)
            as spend_medium,
        coalesce(sum(amount_program) filter (where is_counted and ordered_at >= getvariable('long')), 0)
            as spend_long,
        min(ordered_at) filter (where is_counted) as first_order_at,
        max(ordered_at) filter (where is_counted) as last_order_at,
        count(*) filter (where is_counted and discount_amount > 0) as orders_discounted,
        count(is_late) as deliveries_due,
        count(*) filter (where is_late) as deliveries_late,
        list(ordered_on) filter (where is_counted) as order_days,
        list(amount_program) filter (where is_counted) as worths
    from orders
    group by customer_id
)
select
    * exclude (worths),
    local_date(first_order_at) as first_order_on,
    local_date(last_order_at) as last_order_on,
    coalesce(list_sum(
        list_filter(worths, lambda worth, i: order_days[i] = local_date(first_order_at))
    ), 0) as first_spend
from counted;

create table fct_orders as
select
    order_id,
    customer_id,
    ordered_at,
    ordered_on,
    case
        when not is_status_later then status
        when cancelled_at <= getvariable('as_of') then 'cancelled'
        when delivered_at <= getvariable('as_of') then 'delivered'
        when shipped_at <= getvariable('as_of') then 'shipped'
        when paid_at <= getvariable('as_of') then 'paid'
        else 'pending'
    end as status,
    is_counted,
    is_counted and ordered_at = c.first_order_at as is_first_order,
    channel,
    store_id,
    amount,
    coalesce(currency, 'CNY') as currency,
    amount_program,
    promised_at,
    arrived_at as delivered_at,
    ((epoch_us(arrived_at) - epoch_us(ordered_at)) / 86400e6)::decimal(9, 1) as delivery_days,
    is_late,
    case
        when is_late
            then ceil(
                (epoch_us(coalesce(arrived_at, getvariable('as_of'))) - epoch_us(promised_at)) / 86400e6
            )::integer
        when not is_late then 0
    end as days_late,
    _source as source
from orders
left join orders_by_customer as c using (customer_id);
