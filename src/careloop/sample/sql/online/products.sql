select
    product_no(p) as sku,
    pick(kind.names, rnd(p, 'product')) || ' ' || chr(65 + (rnd(p, 'model') % 26)::int) || (100 + rnd(p, 'number') % 900) as product_name,
    kind.category as category, (price_cents(p) / 100)::double as list_price, kind.replacement_days as replacement_days
from range(getvariable('products')) t(p)
join goods kind on kind.i = p % getvariable('goods')
order by p
