with

kpi_values as (
    select * from {{ ref("int_kpi_values") }}
    where
        period_type in ('month', 'quarter', 'year')
        and slice_kind in ('all', 'segment', 'stage', 'tier', 'region', 'owner', 'touchpoint')
),

-- Each value is that of its own period and the one before of the next.
places as (
    select
        *,
        period_start as judged_start,
        true as is_current
    from kpi_values
    union all
    select
        *,
        period_end as judged_start,
        false as is_current
    from kpi_values
),

members as (
    select
        kpi,
        period_type,
        judged_start as period_start,
        slice_kind,
        slice,
        sum(numerator) filter (where not is_current) as previous_numerator,
        sum(denominator) filter (where not is_current) as previous_denominator,
        sum(numerator) filter (where is_current) as numerator,
        sum(denominator) filter (where is_current) as denominator
    from places
    group by kpi, period_type, judged_start, slice_kind, slice
),

totals as (
    select
        kpi,
        period_type,
        period_start,
        cast(previous_numerator as double) / cast(previous_denominator as double) as previous_value,
        cast(numerator as double) / cast(denominator as double) as value
    from members
    where slice_kind = 'all' and previous_denominator is not null and denominator is not null
),

rated as (
    select
        members.*,
        totals.previous_value as total_previous_value,
        totals.value as total_value,
        cast(members.previous_numerator as double) / cast(members.previous_denominator as double)
            as previous_value,
        cast(members.numerator as double) / cast(members.denominator as double) as value,
        sum(members.previous_denominator) over dimension as all_previous,
        sum(members.denominator) over dimension as all_current
    from members
    inner join totals
        on
            members.kpi = totals.kpi
            and members.period_type = totals.period_type
            and members.period_start = totals.period_start
    where members.slice_kind <> 'all'
    window dimension as (
        partition by
            members.kpi,
            members.period_type,
            members.period_start,
            members.slice_kind
    )
),

-- Who is there in one period only has no rate of their own in the other, so only the mix changed.
weighed as (
    select
        *,
        coalesce(previous_value, value) as r0,
        coalesce(value, previous_value) as r1,
        coalesce(cast(previous_denominator as double) / cast(all_previous as double), 0) as w0,
        coalesce(cast(denominator as double) / cast(all_current as double), 0) as w1
    from rated
    where all_previous is not null and all_current is not null
),

-- Kitagawa (1955), Components of a difference between two rates, JASA 50.
split as (
    select
        *,
        (w0 + w1) / 2 * (r1 - r0) as rate_effect,
        (w1 - w0) * ((r0 + r1) / 2 - (total_previous_value + total_value) / 2) as mix_effect
    from weighed
),

final as (
    select
        kpi,
        period_type,
        period_start,
        slice_kind as dimension,
        slice as member,
        cast(previous_numerator as decimal(38, 6)) as previous_numerator,
        cast(previous_denominator as decimal(38, 6)) as previous_denominator,
        cast(numerator as decimal(38, 6)) as numerator,
        cast(denominator as decimal(38, 6)) as denominator,
        previous_value,
        value,
        rate_effect,
        mix_effect,
        rate_effect + mix_effect as total_effect,
        (rate_effect + mix_effect) / nullif(total_value - total_previous_value, 0)
            as share_of_change,
        total_previous_value,
        total_value
    from split
)

select * from final
