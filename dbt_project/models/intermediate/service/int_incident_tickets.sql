{%- set min_tickets = setting_text("emergency.min_tickets") | int -%}

with

tickets as (
    select
        ticket_id,
        opened_at
    from {{ ref("stg_tickets") }}
    where kind in ({{ setting_list("emergency.trigger_kinds") }})
),

ordered as (
    select
        *,
        lag(opened_at, {{ min_tickets - 1 }}) over (order by opened_at, ticket_id) as window_from
    from tickets
),

-- At these tickets the last in_window held enough of them.
over_limit as (
    select
        opened_at,
        coalesce(
            lag(opened_at) over (order by opened_at, ticket_id)
            < {{ care_earlier("opened_at", "emergency.in_window") }},
            true
        ) as is_first
    from ordered
    where window_from >= {{ care_earlier("opened_at", "emergency.in_window") }}
),

numbered as (
    select
        opened_at,
        sum(case when is_first then 1 else 0 end) over (
            order by opened_at range between unbounded preceding and current row
        ) as incident_no
    from over_limit
),

incidents as (
    select
        min(opened_at) as began_at,
        max(opened_at) as last_ticket_at
    from numbered
    group by incident_no
),

final as (
    select
        {{ iso_time("incidents.began_at") }} as incident_id,
        incidents.began_at,
        incidents.last_ticket_at,
        tickets.ticket_id,
        tickets.opened_at
    from incidents
    inner join tickets
        on
            {{ care_earlier("incidents.began_at", "emergency.in_window") }} <= tickets.opened_at
            and incidents.last_ticket_at >= tickets.opened_at
)

select * from final
