{%- set min_together = optional_setting("next_product.min_together", "integer") -%}

with

baskets as (
    select * from {{ ref("int_product_baskets") }}
),

products as (
    select * from {{ ref("int_products") }}
),

total as (
    select count(distinct basket_id) as baskets from baskets
),

-- A pair can't be more frequent than its products: rare ones are left out before pairing.
frequent as (
    select
        product_no,
        count(*) as baskets
    from baskets
    group by product_no
    having count(*) >= {{ min_together }}
),

kept as (
    select baskets.*
    from baskets
    inner join frequent on baskets.product_no = frequent.product_no
),

pairs as (
    select
        one.product_no,
        other.product_no as associated_product_no,
        count(*) as together
    from kept as one
    inner join kept as other
        on
            one.basket_id = other.basket_id
            and one.product_no < other.product_no
    group by one.product_no, other.product_no
    having count(*) >= {{ min_together }}
),

both_ways as (
    select * from pairs
    union all
    select
        associated_product_no as product_no,
        product_no as associated_product_no,
        together
    from pairs
),

measured as (
    select
        both_ways.product_no,
        both_ways.associated_product_no,
        one.baskets,
        other.baskets as associated_baskets,
        both_ways.together,
        both_ways.together / total.baskets as support,
        both_ways.together / one.baskets as confidence,
        both_ways.together * total.baskets / (one.baskets * other.baskets) as lift
    from both_ways
    inner join frequent as one on both_ways.product_no = one.product_no
    inner join frequent as other on both_ways.associated_product_no = other.product_no
    cross join total
),

ranked as (
    select
        *,
        row_number() over (
            partition by product_no
            order by confidence desc, lift desc, associated_product_no asc
        ) as rank
    from measured
    where
        confidence >= {{ optional_setting("next_product.min_confidence", "double") }}
        and lift >= {{ optional_setting("next_product.min_lift", "double") }}
),

final as (
    select
        one.product_id,
        other.product_id as associated_product_id,
        ranked.rank,
        ranked.baskets,
        ranked.associated_baskets,
        ranked.together,
        ranked.support,
        ranked.confidence,
        ranked.lift,
        concat(
            round(100 * ranked.confidence, 1), ' % of those who bought ',
            coalesce(one.name, one.product_id), ' (', ranked.together, ' of ', ranked.baskets,
            ') also bought this, ', round(ranked.lift, 1), ' times the usual share'
        ) as reason_en,
        concat(
            '购买过', coalesce(one.name, one.product_id), '的客户中有 ',
            round(100 * ranked.confidence, 1), '%（', ranked.baskets, ' 中的 ', ranked.together,
            '）也购买了本产品，是通常比例的 ', round(ranked.lift, 1), ' 倍'
        ) as reason_zh
    from ranked
    inner join products as one on ranked.product_no = one.product_no
    inner join products as other on ranked.associated_product_no = other.product_no
    where ranked.rank <= {{ optional_setting("next_product.rules_per_product", "integer") }}
)

select * from final
