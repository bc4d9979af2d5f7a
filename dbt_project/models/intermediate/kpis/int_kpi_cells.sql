with

facts as (
    select * from {{ ref("int_kpi_facts") }}
),

-- Numbers stand for KPI and period, and for where a customer is: texts would take twice the time.
counted as (
    select
        kpis.kpi,
        periods.period_type,
        periods.period_start,
        periods.starts_at,
        row_number() over (
            order by kpis.position, periods.period_type, periods.period_start
        ) as count_no
    from {{ source("program", "kpis") }} as kpis
    cross join {{ ref("int_kpi_periods") }} as periods
),

standings as (
    select
        customer_id,
        coalesce(valid_from, timestamp '1000-01-01') as valid_from,
        coalesce(valid_until, timestamp '9999-01-01') as valid_until,
        coalesce(segment, '(unknown)') as segment,
        coalesce(stage, '(unknown)') as stage,
        coalesce(tier, '(unknown)') as tier,
        coalesce(region, '(unknown)') as region,
        account_manager_id
    from {{ ref("int_kpi_standings") }}
),

distinct_places as (
    select distinct
        segment,
        stage,
        tier,
        region
    from standings
    union
    select
        '(unknown)' as segment,
        '(unknown)' as stage,
        '(unknown)' as tier,
        '(unknown)' as region
),

places as (
    select
        *,
        case
            when
                segment = '(unknown)' and stage = '(unknown)'
                and tier = '(unknown)' and region = '(unknown)'
                then 0
            else row_number() over (order by segment, stage, tier, region)
        end as place_no
    from distinct_places
),

placed as (
    select
        standings.customer_id,
        standings.valid_from,
        standings.valid_until,
        standings.account_manager_id,
        places.place_no
    from standings
    inner join places
        on
            standings.segment = places.segment
            and standings.stage = places.stage
            and standings.tier = places.tier
            and standings.region = places.region
),

-- How a customer stood when the period began: what came of it must not decide where it counts.
located as (
    select
        counted.count_no,
        coalesce(placed.place_no, 0) as place_no,
        coalesce(facts.owner_id, placed.account_manager_id, '(unknown)') as owner_id,
        coalesce(facts.touchpoint, '(unknown)') as touchpoint,
        facts.is_core,
        facts.numerator,
        facts.denominator
    from facts
    inner join counted
        on
            facts.kpi = counted.kpi
            and facts.period_type = counted.period_type
            and facts.period_start = counted.period_start
    left join placed
        on
            facts.customer_id = placed.customer_id
            and counted.starts_at >= placed.valid_from
            and counted.starts_at < placed.valid_until
),

-- Owners crossed with all else would be nearly as many rows as there are facts.
cells as (
    select
        count_no,
        place_no,
        touchpoint,
        is_core,
        owner_id,
        grouping(owner_id) = 0 as is_by_owner,
        sum(numerator) as numerator,
        sum(denominator) as denominator
    from located
    group by {{ grouping_sets(
        "count_no, place_no, touchpoint, is_core",
        "count_no, owner_id"
    ) }}
),

final as (
    select
        counted.kpi,
        counted.period_type,
        counted.period_start,
        places.segment,
        places.stage,
        places.tier,
        places.region,
        cells.touchpoint,
        cells.is_core,
        cells.owner_id,
        cells.is_by_owner,
        cast(cells.numerator as decimal(38, 6)) as numerator,
        cast(cells.denominator as decimal(38, 6)) as denominator
    from cells
    inner join counted on cells.count_no = counted.count_no
    left join places on cells.place_no = places.place_no
)

select * from final
