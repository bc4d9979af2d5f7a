-- What do price-sensitive customers prefer to buy? One row per favourite.
select
    favourites.value as favourite,
    count(*) as customers,
    count(sensitive.customer_id) as price_sensitive
from fct_customer_tags as favourites
left join fct_customer_tags as sensitive
    on favourites.customer_id = sensitive.customer_id and sensitive.tag = 'price_sensitive'
where favourites.tag in ('favourite_category', 'product_preference', 'purchase_preference')
group by favourites.value
order by price_sensitive desc, favourite asc;
