-- fct_orders by hand, after customers.sql: what the dbt step writes besides the customers.
create table fct_orders as
with orders as (
    select
        order_id,
        customer_id,
        ordered_at,
        (ordered_at + interval 8 hours)::date as ordered_on,
        case
            when not coalesce(case
                when status in ('cancelled', 'returned') then cancelled_at > getvariable('as_of')
                when status in ('delivered', 'completed') then delivered_at > getvariable('as_of')
                when status = 'shipped' then shipped_at > getvariable('as_of')
                when status in ('paid', 'preparing') then paid_at > getvariable('as_of')
                else status is null
            end, false) then o.status
            when cancelled_at <= getvariable('as_of') then 'cancelled'
            when delivered_at <= getvariable('as_of') then 'delivered'
            when shipped_at <= getvariable('as_of') then 'shipped'
            when paid_at <= getvariable('as_of') then 'paid'
            else 'pending'
        end as state,
        coalesce(state not in ('cancelled', 'returned'), true) as is_counted,
        coalesce(is_counted and ordered_at = c.first_order_at, false) as is_first_order,
        channel,
        store_id,
        amount,
        coalesce(o.currency, 'CNY') as currency,
        if(rate is null, amount, (amount * rate)::decimal(18, 4)) as amount_program,
        promised_at,
        case when delivered_at <= getvariable('as_of') then delivered_at end as arrived_at,
        (epoch_us(arrived_at) - epoch_us(ordered_at)) / 86400e6 as delivery_days,
        case
            when arrived_at is not null then arrived_at > promised_at
            when is_counted and promised_at < getvariable('as_of') then true
        end as is_late,
        ceil(
            (epoch_us(coalesce(arrived_at, getvariable('as_of'))) - epoch_us(promised_at)) / 86400e6
        )::integer as days,
        _source as source
    from read_parquet(getvariable('lake') || '/orders/*/rows.parquet') as o
    left join orders_by_customer as c using (customer_id)
    left join (
        values ('USD', 7.1), ('EUR', 7.8), ('GBP', 9.2), ('HKD', 0.91), ('JPY', 0.047)
    ) as rates (currency, rate) on o.currency = rates.currency
    where ordered_at <= getvariable('as_of')
)
select
    order_id,
    customer_id,
    ordered_at,
    ordered_on,
    state as status,
    is_counted,
    is_first_order,
    channel,
    store_id,
    amount,
    currency,
    amount_program,
    promised_at,
    arrived_at as delivered_at,
    delivery_days::decimal(9, 1) as delivery_days,
    is_late,
    case when is_late then days when not is_late then 0 end as days_late,
    source
from orders;
