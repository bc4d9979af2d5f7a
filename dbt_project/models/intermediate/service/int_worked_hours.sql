with

intervals as (
    select
        worked_before as from_worked,
        worked_after as until_worked,
        {{ epoch_second("opens_at") }} as opens_second,
        lag({{ epoch_second("closes_at") }}) over (order by opens_at) as closed_second
    from {{ ref("int_service_time") }}
),

final as (
    select
        {{ each_number(hour_no("from_worked"), hour_no("until_worked - 1")) }} as hour_no,
        from_worked,
        until_worked,
        opens_second,
        coalesce(closed_second, opens_second) as closed_second
    from intervals
)

select * from final
