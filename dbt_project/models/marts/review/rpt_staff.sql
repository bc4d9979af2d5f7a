{%- set as_of = as_of_utc() -%}
{%- set periods = staff_periods() -%}
{%- set from_moment = day_start_utc(periods[0]["first_day"]) -%}
{%- set resolved_tickets = "case_kind = 'ticket' and is_resolved" -%}
{#- What counts for an owner: in which rows, at what moment, under what condition, with what. -#}
{%- set measures = {
    "new_cases": ["cases", "opened_at", "true", "1"],
    "handled_cases": ["cases", "resolved_at", "is_resolved", "1"],
    "resolution_hours": [
        "cases", "resolved_at", resolved_tickets,
        exact_seconds_between("opened_at", "resolved_at") ~ " / 3600",
    ],
    "satisfaction": [
        "cases", "resolved_at", resolved_tickets ~ " and satisfaction is not null",
        "100 * satisfaction",
    ],
    "first_response_minutes": [
        "tickets", "first_response_at", "true",
        exact_seconds_between("opened_at", "first_response_at") ~ " / 60",
    ],
    "on_time_rate": [
        "clocks", "opened_at", "state in ('met', 'breached')", one_if("state = 'met'")
    ],
} -%}

with

staff as (
    select * from {{ ref("stg_staff") }}
),

cases as (
    select * from {{ ref("int_cases") }}
),

tickets as (
    select * from {{ ref("stg_tickets") }}
),

clocks as (
    select * from {{ ref("fct_ticket_clocks") }}
),

customers as (
    select
        customer_id,
        account_manager_id
    from {{ ref("stg_customers") }}
    where account_manager_id is not null
),

orders as (
    select * from {{ ref("int_orders") }}
),

surveys as (
    select * from {{ ref("stg_surveys") }}
),

-- One row per thing that counts for an owner, at the moment it counts.
moments as (
    {%- for measure, (relation, moment, condition, value) in measures.items() %}
    select
        '{{ measure }}' as measure,
        owner_id,
        department,
        {{ moment }} as happened_at,
        {{ value }} as value
    from {{ relation }}
    where {{ condition }} and {{ moment }} >= {{ from_moment }}
    union all
    {%- endfor %}
    select
        'nps' as measure,
        customers.account_manager_id as owner_id,
        cast(null as varchar) as department,
        surveys.answered_at as happened_at,
        case
            when {{ answer_value() }} >= 9 then 100
            when {{ answer_value() }} <= 6 then -100
            else 0
        end as value
    from surveys
    inner join customers on surveys.customer_id = customers.customer_id
    where
        surveys.kind = 'nps'
        and surveys.score is not null
        and surveys.answered_at >= {{ from_moment }}
),

bought as (
    select
        customers.account_manager_id,
        orders.customer_id,
        orders.ordered_at,
        orders.ordered_at
        > min(orders.ordered_at) over (partition by orders.customer_id) as is_repeat
    from orders
    inner join customers on orders.customer_id = customers.customer_id
    where orders.is_counted
),

-- A buyer counts once in a period, and as one who came back with any order but the first.
buyers as (
    {%- for period in ["month", "quarter"] %}
    select
        '{{ period }}' as period_type,
        {{ period_start(period, local_date("ordered_at")) }} as period_start,
        account_manager_id,
        customer_id,
        bool_or(is_repeat) as came_back
    from bought
    where ordered_at >= {{ from_moment }}
    group by
        {{ period_start(period, local_date("ordered_at")) }},
        account_manager_id,
        customer_id
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

periods as (
    {%- for period in periods %}
    select
        {{ text_literal(period["kind"]) }} as period_type,
        {{ period["first_day"] }} as period_start,
        {{ day_start_utc(period["first_day"]) }} as starts_at,
        {{ day_start_utc(period["end_day"]) }} as ends_at
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

begun as (
    select
        period_type,
        period_start,
        ends_at,
        ends_at <= {{ as_of }} as is_over
    from periods
    where starts_at <= {{ as_of }}
),

facts as (
    {%- for period in ["month", "quarter"] %}
    select
        '{{ period }}' as period_type,
        {{ period_start(period, local_date("happened_at")) }} as period_start,
        measure,
        owner_id,
        department,
        value
    from moments
    union all
    {%- endfor %}
    select
        period_type,
        period_start,
        'repurchase_rate' as measure,
        account_manager_id as owner_id,
        cast(null as varchar) as department,
        {{ one_if("came_back") }} as value
    from buyers
    union all
    select
        begun.period_type,
        begun.period_start,
        'open_cases' as measure,
        cases.owner_id,
        cases.department,
        1 as value
    from cases
    inner join begun
        on
            cases.opened_at < begun.ends_at
            and (not cases.is_resolved or cases.resolved_at >= begun.ends_at)
    union all
    select
        begun.period_type,
        begun.period_start,
        'customers_managed' as measure,
        customers.account_manager_id as owner_id,
        cast(null as varchar) as department,
        1 as value
    from customers
    inner join begun on not begun.is_over
),

placed as (
    select
        facts.period_type,
        facts.period_start,
        facts.measure,
        facts.value,
        coalesce(facts.owner_id, '(none)') as owner_id,
        coalesce(staff.department, facts.department, '(none)') as department,
        coalesce(staff.supervisor_id, '(none)') as team
    from facts
    left join staff on facts.owner_id = staff.staff_id
),

grouped as (
    {%- for kind in ["owner", "department", "team"] %}
    select
        period_type,
        period_start,
        measure,
        '{{ kind }}' as group_kind,
        {{ "owner_id" if kind == "owner" else kind }} as group_id,
        value
    from placed
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

counted as (
    select
        period_type,
        period_start,
        measure,
        group_kind,
        group_id,
        count(*) as sample,
        sum(value) as total,
        median(value) filter (where measure in ('first_response_minutes', 'resolution_hours'))
            as middle
    from grouped
    group by period_type, period_start, measure, group_kind, group_id
),

measured as (
    select
        *,
        measure in ('new_cases', 'handled_cases', 'open_cases', 'customers_managed') as is_load,
        round(cast(case
            when measure in ('new_cases', 'handled_cases', 'open_cases', 'customers_managed')
                then total
            else coalesce(middle, total / cast(sample as double))
        end as double), 4) as value
    from counted
),

judged as (
    select
        measured.*,
        begun.is_over,
        not measured.is_load
        and measured.sample < {{ setting("operation.min_sample", "integer") }} as is_small_sample
    from measured
    inner join begun
        on
            measured.period_type = begun.period_type
            and measured.period_start = begun.period_start
),

targets as (
    select
        kpi,
        max(value) as target
    from {{ source("program", "kpi_targets") }}
    where by_owner and value is not null
    group by kpi
),

final as (
    select
        judged.period_type,
        judged.period_start,
        judged.is_over,
        judged.group_kind,
        judged.group_id,
        judged.measure,
        judged.value,
        judged.sample,
        judged.is_small_sample,
        case
            when not (judged.is_load or judged.is_small_sample or judged.group_id = '(none)')
                then cast(rank() over (
                    partition by
                        judged.period_type,
                        judged.period_start,
                        judged.group_kind,
                        judged.measure,
                        judged.is_small_sample,
                        judged.group_id = '(none)'
                    order by
                        case
                            when
                                judged.measure in ('first_response_minutes', 'resolution_hours')
                                then judged.value
                            else -judged.value
                        end
                ) as integer)
        end as place,
        case when judged.group_kind = 'owner' then targets.target end as target,
        case
            when judged.group_kind = 'owner' and not judged.is_small_sample
                then judged.value >= targets.target
        end as is_met
    from judged
    left join targets on judged.measure = targets.kpi
)

select * from final
