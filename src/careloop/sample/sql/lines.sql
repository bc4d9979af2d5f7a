create or replace view line as
select
    c, k, in_store, j + 1 as line_no,
    product_at(rnd(row_no(c, k), 'items'), j) as p,
    quantity_at(rnd(row_no(c, k), 'quantity'), j, is_company) as quantity
from (select c, k, in_store, is_company, unnest(range(lines)) as j from ord);
