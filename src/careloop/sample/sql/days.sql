-- One row per day up to as_of: how much is bought (slots) and how many customers arrive.
create or replace table day as
with calendar as (
    select
        i::int as d,
        getvariable('start_date')::date + i::int as date,
        (
            select min_by((getvariable('start_date')::date + i::int) - x, abs((getvariable('start_date')::date + i::int) - x))
            from unnest(getvariable('new_years')) t(x)
        ) as since_new_year
    from range(getvariable('days')) r(i)
),
weighed as (
    select
        d,
        date,
        [0.86, 0.88, 0.92, 0.96, 1.05, 1.22, 1.18][isodow(date)]
        * case
            when since_new_year between -2 and 6 then 0.35
            when since_new_year between -16 and -3 then 1.35
            else 1
        end
        * case strftime(date, '%m%d')
            when '1111' then 6.0 when '1110' then 2.4 when '1101' then 2.6
            when '0618' then 4.0 when '0617' then 1.8 when '0601' then 2.0
            when '1212' then 2.2 when '1001' then 1.4
            else case
                when strftime(date, '%m%d') between '1028' and '1112' then 1.5
                when strftime(date, '%m%d') between '1113' and '1124' then 0.75
                when strftime(date, '%m%d') between '0602' and '0620' then 1.3
                else 1
            end
        end as weight
    from calendar
),
shares as (
    select *, pow(weight, 0.8) * (exp(-0.0016 * (getvariable('days') - d))
        + 10 * exp(-0.02 * (getvariable('days') - d))) as arrival from weighed
)
select
    d,
    date,
    weight,
    greatest(1, round(weight * 20))::int as slots,
    (sum(greatest(1, round(weight * 20))) over (order by d) - greatest(1, round(weight * 20)))::int as first_slot,
    floor(getvariable('customers') * (sum(arrival) over (order by d) - arrival) / sum(arrival) over ())::int as first_customer,
    floor(getvariable('customers') * sum(arrival) over (order by d) / sum(arrival) over () + 1e-6)::int as next_customer
from shares
order by d;

insert into day
select d + 1, date + 1, 1, 0, first_slot + slots, next_customer, next_customer
from day order by d desc limit 1;

create or replace table slot as
select (first_slot + i)::int as slot, d, weight from day, unnest(range(slots)) t(i) order by 1;
