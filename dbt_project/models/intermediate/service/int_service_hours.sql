with

intervals as (
    select
        {{ epoch_second("opens_at") }} as from_second,
        {{ epoch_second("closes_at") }} as closes_second,
        lead({{ epoch_second("opens_at") }}) over (order by opens_at) as next_second,
        worked_before
    from {{ ref("int_service_time") }}
),

-- The calendar ends with its last working time.
stretches as (
    select
        from_second,
        coalesce(next_second, closes_second + 1) as until_second,
        closes_second,
        worked_before
    from intervals
),

final as (
    select
        {{ each_number(hour_no("from_second"), hour_no("until_second - 1")) }} as hour_no,
        from_second,
        until_second,
        closes_second,
        worked_before
    from stretches
)

select * from final
