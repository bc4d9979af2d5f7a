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
        title_zh,
        expected_share
    from {{ source("program", "segments") }}
    union all
    select
        'stage' as dimension,
        stage as value,
        title_en,
        title_zh,
        cast(null as double) as expected_share
    from {{ source("program", "stages") }}
),

entries as (
    select
        period_type,
        period_start,
        dimension,
        to_value as value,
        coalesce(sum(customers) filter (where from_value = '(entered)'), 0) as new_customers,
        coalesce(sum(customers) filter (where from_value <> '(entered)'), 0) as entered,
        0 as departed,
        0 as erased,
        0 as left_data
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
        0 as new_customers,
        0 as entered,
        coalesce(
            sum(customers) filter (where to_value not in ('(gone)', '(erased)')), 0
        ) as departed,
        coalesce(sum(customers) filter (where to_value = '(erased)'), 0) as erased,
        coalesce(sum(customers) filter (where to_value = '(gone)'), 0) as left_data
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
        sum(new_customers) as new_customers,
        sum(entered) as entered,
        sum(departed) as departed,
        sum(erased) as erased,
        sum(left_data) as left_data,
        sum(new_customers + entered - departed - erased - left_data) as net
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
        coalesce(movements.new_customers, 0) as new_customers,
        coalesce(movements.entered, 0) as entered,
        coalesce(movements.departed, 0) as departed,
        coalesce(movements.erased, 0) as erased,
        coalesce(movements.left_data, 0) as left_data,
        coalesce(movements.net, 0) as net,
        sum(coalesce(movements.net, 0)) over (
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
        case when balances.value = '(erased)' then 'Erased' else titles.title_en end as title_en,
        case when balances.value = '(erased)' then '已删除个人数据' else titles.title_zh end
            as title_zh,
        cast(balances.closing - balances.net as bigint) as opening,
        cast(balances.new_customers as bigint) as new_customers,
        cast(balances.entered as bigint) as entered,
        cast(balances.departed as bigint) as departed,
        cast(balances.erased as bigint) as erased,
        cast(balances.left_data as bigint) as left_data,
        cast(balances.closing as bigint) as closing,
        cast(balances.net as bigint) as net,
        titles.expected_share,
        case
            when balances.value <> '(erased)' then balances.closing / cast(nullif(sum(
                case when balances.value <> '(erased)' then balances.closing else 0 end
            ) over (
                partition by balances.period_type, balances.period_start, balances.dimension
            ), 0) as double)
        end as actual_share
    from balances
    left join titles
        on balances.dimension = titles.dimension and balances.value = titles.value
)

select * from final
