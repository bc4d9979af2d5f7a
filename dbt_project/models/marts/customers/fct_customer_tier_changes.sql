with

changes as (
    select * from {{ ref("int_customer_tier_changes") }}
),

final as (
    select
        customer_id || ' ' || cast(change_no as varchar) as change_key,
        customer_id,
        change_no,
        from_tier,
        tier,
        changed_on,
        tier_since,
        kept_until,
        reason,
        as_of,
        pack_hash
    from changes
)

select * from final
