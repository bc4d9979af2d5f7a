-- What is bought together, and how much more often than by chance? For bundles and shelves.
select
    coalesce(one.name, pairs.product_id) as product,
    coalesce(other.name, pairs.associated_product_id) as bought_with_it,
    pairs.together as baskets,
    round(100 * pairs.confidence, 1) as percent_of_buyers,
    round(pairs.lift, 2) as times_chance
from fct_product_associations as pairs
left join dim_products as one on pairs.product_id = one.product_id
left join dim_products as other on pairs.associated_product_id = other.product_id
order by pairs.lift desc, pairs.product_id asc, pairs.rank asc
limit 50;
