with

flows as (
    select * from {{ ref("rpt_segment_flows") }}
),

periods as (
    select
        'month' as period_type,
        month_start as period_start,
        max(day) as period_end
    from {{ ref("dim_calendar") }}
    group by month_start
    union all
    select
        'quarter' as period_type,
        quarter_start as period_start,
        max(day) as period_end
    from {{ ref("dim_calendar") }}
    group by quarter_start
),

titles as (
    select
        'segment' as dimension,
        segment as value,
        title_en,
        title_zh
    from {{ source("program", "segments") }}
    union all
    select
        'stage' as dimension,
        stage as value,
        title_en,
        title_zh
    from {{ source("program", "stages") }}
),

entries as (
    select
        period_type,
        period_start,
        dimension,
        to_value as value,
        sum(customers) as entered,
        0 as departed
    from flows
    where to_value <> '(gone)'
    group by period_type, period_start, dimension, to_value
),

exits as (
    select
        period_type,
        period_start,
        dimension,
        from_value as value,
        0 as entered,
        sum(customers) as departed
    from flows
    where from_value <> '(entered)'
    group by period_type, period_start, dimension, from_value
),

movements as (
    select
        period_type,
        period_start,
        dimension,
        value,
        sum(entered) as entered,
        sum(departed) as departed
    from (
        select * from entries
        union all
        select * from exits
    ) as both_ways
    group by period_type, period_start, dimension, value
),

-- A value of an earlier program that is gone from the pack still has customers to account for.
members as (
    select
        dimension,
        value
    from titles
    union
    select
        dimension,
        value
    from movements
),

first_period as (
    select
        period_type,
        min(period_start) as period_start
    from flows
    group by period_type
),

grid as (
    select
        periods.period_type,
        periods.period_start,
        least(periods.period_end, {{ as_of_date() }}) as period_end,
        members.dimension,
        members.value
    from periods
    inner join first_period
        on
            periods.period_type = first_period.period_type
            and periods.period_start >= first_period.period_start
    cross join members
    where periods.period_start <= {{ as_of_date() }}
),

balances as (
    select
        grid.*,
        coalesce(movements.entered, 0) as entered,
        coalesce(movements.departed, 0) as departed,
        sum(coalesce(movements.entered, 0) - coalesce(movements.departed, 0)) over (
            partition by grid.period_type, grid.dimension, grid.value
            order by grid.period_start
            rows between unbounded preceding and current row
        ) as closing
    from grid
    left join movements
        on
            grid.period_type = movements.period_type
            and grid.period_start = movements.period_start
            and grid.dimension = movements.dimension
            and grid.value = movements.value
),

final as (
    select
        balances.period_type,
        balances.period_start,
        balances.period_end,
        balances.dimension,
        balances.value,
        titles.title_en,
        titles.title_zh,
        cast(balances.closing - balances.entered + balances.departed as bigint) as opening,
        cast(balances.entered as bigint) as entered,
        cast(balances.departed as bigint) as departed,
        cast(balances.closing as bigint) as closing,
        cast(balances.entered - balances.departed as bigint) as net
    from balances
    left join titles
        on balances.dimension = titles.dimension and balances.value = titles.value
)

select * from final
