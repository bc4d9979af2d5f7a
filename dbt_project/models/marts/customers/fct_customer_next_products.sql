{%- set because_from = days_ago(optional_setting("next_product.because_of_days", "integer")) -%}
{%- set exclude_days = optional_setting("next_product.exclude_bought_days", "integer") -%}
{%- set excludes_ever = optional_setting_text("next_product.exclude_bought_days") is none -%}

with

purchases as (
    select * from {{ ref("int_purchases") }}
),

associations as (
    select * from {{ ref("fct_product_associations") }}
),

products as (
    select * from {{ ref("int_products") }}
),

rules as (
    select
        one.product_no,
        other.product_no as associated_product_no,
        -- The order in which rules win: the same for everybody, so one number instead of three.
        row_number() over (
            order by
                associations.confidence desc,
                associations.lift desc,
                one.product_no asc,
                other.product_no asc
        ) as rule_no
    from associations
    inner join products as one on associations.product_id = one.product_id
    inner join products as other on associations.associated_product_id = other.product_id
),

candidates as (
    select
        purchases.customer_id,
        rules.associated_product_no,
        min(rules.rule_no) as rule_no
    from purchases
    inner join rules on purchases.product_no = rules.product_no
    where purchases.bought_on >= {{ because_from }}
    group by purchases.customer_id, rules.associated_product_no
),

new_to_customer as (
    select candidates.*
    from candidates
    left join purchases
        on
            candidates.customer_id = purchases.customer_id
            and candidates.associated_product_no = purchases.product_no
            {%- if not excludes_ever %}
            and purchases.bought_on >= {{ days_ago(exclude_days) }}
            {%- endif %}
    where purchases.customer_id is null
),

ranked as (
    select
        customer_id,
        rule_no,
        row_number() over (partition by customer_id order by rule_no asc) as rank
    from new_to_customer
),

final as (
    select
        ranked.customer_id,
        ranked.rank,
        other.product_id,
        one.product_id as because_of_product_id,
        associations.confidence,
        associations.lift,
        associations.reason_en,
        associations.reason_zh
    from ranked
    inner join rules on ranked.rule_no = rules.rule_no
    inner join products as one on rules.product_no = one.product_no
    inner join products as other on rules.associated_product_no = other.product_no
    inner join associations
        on
            one.product_id = associations.product_id
            and other.product_id = associations.associated_product_id
    where ranked.rank <= {{ optional_setting("next_product.per_customer", "integer") }}
)

select * from final
