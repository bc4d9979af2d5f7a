with

entries as (
    select * from {{ ref("int_point_entries") }}
),

expiries as (
    select * from {{ ref("int_point_expiries") }}
),

expiry_days as (
    select
        expired_on,
        {{ day_start_utc("expired_on") }} as entered_at
    from expiries
    group by expired_on
),

final as (
    select
        coalesce(
            entry_id, customer_id || ' ' || cast(entered_on as varchar) || ' ' || reason
        ) as entry_id,
        customer_id,
        entered_at,
        entered_on,
        reason,
        points,
        expires_on,
        origin,
        campaign,
        factor
    from entries
    union all
    select
        expiries.customer_id || ' ' || cast(expiries.expired_on as varchar) || ' expire'
            as entry_id,
        expiries.customer_id,
        expiry_days.entered_at,
        expiries.expired_on as entered_on,
        'expire' as reason,
        -expiries.points as points,
        cast(null as date) as expires_on,
        'expiry' as origin,
        cast(null as varchar) as campaign,
        cast(null as double) as factor
    from expiries
    inner join expiry_days on expiries.expired_on = expiry_days.expired_on
)

select * from final
