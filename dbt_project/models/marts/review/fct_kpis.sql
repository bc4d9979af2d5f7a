with

facts as (
    select * from {{ ref("int_kpi_facts") }}
),

periods as (
    select * from {{ ref("int_kpi_periods") }}
),

standings as (
    select
        customer_id,
        coalesce(valid_from, timestamp '1000-01-01') as valid_from,
        coalesce(valid_until, timestamp '9999-01-01') as valid_until,
        segment,
        stage,
        tier,
        region,
        account_manager_id
    from {{ ref("int_kpi_standings") }}
),

-- How a customer stood when the period began: what came of it must not decide where it counts.
placed as (
    select
        facts.*,
        standings.segment,
        standings.stage,
        standings.tier,
        standings.region,
        coalesce(facts.owner_id, standings.account_manager_id) as owner
    from facts
    inner join periods
        on
            facts.period_type = periods.period_type
            and facts.period_start = periods.period_start
    left join standings
        on
            facts.customer_id = standings.customer_id
            and periods.starts_at >= standings.valid_from
            and periods.starts_at < standings.valid_until
),

final as (
    select
        kpi,
        period_type,
        period_start,
        coalesce(segment, '(unknown)') as segment,
        coalesce(stage, '(unknown)') as stage,
        coalesce(tier, '(unknown)') as tier,
        coalesce(region, '(unknown)') as region,
        coalesce(owner, '(unknown)') as owner_id,
        coalesce(touchpoint, '(unknown)') as touchpoint,
        is_core,
        cast(sum(numerator) as decimal(38, 6)) as numerator,
        cast(sum(denominator) as decimal(38, 6)) as denominator
    from placed
    group by
        kpi,
        period_type,
        period_start,
        segment,
        stage,
        tier,
        region,
        owner,
        touchpoint,
        is_core
)

select * from final
