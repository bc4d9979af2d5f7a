with

tickets as (
    select
        ticket_id,
        customer_id,
        opened_at
    from {{ ref("stg_tickets") }}
),

customers as (
    select distinct customer_id from tickets
),

changes as (
    select
        changes.customer_id,
        changes.dimension,
        coalesce(changes.from_value, changes.to_value) as earlier_value,
        changes.to_value as value,
        changes.as_of as from_at,
        1 as change_no
    from {{ ref("fct_customer_changes") }} as changes
    inner join customers on changes.customer_id = customers.customer_id
    where changes.dimension in ('segment', 'stage')
    union all
    select
        changes.customer_id,
        'tier' as dimension,
        coalesce(changes.from_tier, changes.tier) as earlier_value,
        changes.tier as value,
        {{ day_start_utc("changes.changed_on") }} as from_at,
        changes.change_no
    from {{ ref("fct_customer_tier_changes") }} as changes
    inner join customers on changes.customer_id = customers.customer_id
),

placed as (
    select
        *,
        lead(from_at) over (
            partition by customer_id, dimension order by from_at, change_no
        ) as until_at,
        row_number() over (
            partition by customer_id, dimension order by from_at, change_no
        ) as place
    from changes
),

-- What was first known held before, too.
periods as (
    select
        customer_id,
        dimension,
        earlier_value as value,
        timestamp '1900-01-01' as from_at,
        from_at as until_at
    from placed
    where place = 1
    union all
    select
        customer_id,
        dimension,
        value,
        from_at,
        coalesce(until_at, timestamp '2900-01-01') as until_at
    from placed
    where coalesce(until_at > from_at, true)
),

segments as (
    select * from periods
    where dimension = 'segment'
),

stages as (
    select * from periods
    where dimension = 'stage'
),

tiers as (
    select * from periods
    where dimension = 'tier'
),

today as (
    select
        segments.customer_id,
        segments.segment,
        segments.stage,
        loyalty.tier
    from {{ ref("int_customer_segments") }} as segments
    left join {{ ref("int_customer_loyalty") }} as loyalty
        on segments.customer_id = loyalty.customer_id
),

final as (
    select
        tickets.ticket_id,
        tickets.customer_id,
        case when segments.customer_id is null then today.segment else segments.value end
            as segment,
        case when stages.customer_id is null then today.stage else stages.value end as stage,
        case when tiers.customer_id is null then today.tier else tiers.value end as tier
    from tickets
    left join segments
        on
            tickets.customer_id = segments.customer_id
            and tickets.opened_at >= segments.from_at
            and tickets.opened_at < segments.until_at
    left join stages
        on
            tickets.customer_id = stages.customer_id
            and tickets.opened_at >= stages.from_at
            and tickets.opened_at < stages.until_at
    left join tiers
        on
            tickets.customer_id = tiers.customer_id
            and tickets.opened_at >= tiers.from_at
            and tickets.opened_at < tiers.until_at
    left join today on tickets.customer_id = today.customer_id
)

select * from final
