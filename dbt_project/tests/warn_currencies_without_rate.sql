{{ config(severity="warn") }}
-- Orders in a currency the program has no exchange rate for count as orders but not as spend.
select
    currency,
    count(*) as orders,
    sum(amount) as amount
from {{ ref("fct_orders") }}
where amount_program is null
group by currency
