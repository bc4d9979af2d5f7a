{%- set counts = [
    "opened", "contacted", "saved", "lost", "eased", "gone", "closed",
    "high_value_opened", "high_value_contacted", "high_value_saved", "high_value_lost",
    "high_value_closed",
] -%}
{%- set of_activity = setting_text("activity.dormant_measure") != "days_since_last_order" -%}

with

changes as (
    select
        customer_id,
        from_value,
        to_value,
        reason,
        as_of
    from {{ ref("fct_customer_changes") }}
    where dimension = 'churn_level'
),

levels as (
    select
        level,
        position
    from {{ source("program", "alert_levels") }}
),

customers as (
    select
        customer_id,
        is_strategic
        or coalesce(
            spend_rank > {{ setting("value.high_potential.max_spend_rank", "double") }}, false
        ) as is_high_value
    from {{ ref("int_customer_profile") }}
),

numbered as (
    select
        changes.*,
        coalesce(levels.position, 0) as level_no,
        sum(case when changes.from_value is null then 1 else 0 end) over (
            partition by changes.customer_id
            order by changes.as_of
            rows between unbounded preceding and current row
        ) as case_no
    from changes
    left join levels on changes.to_value = levels.level
),

-- One row per case: from the first level of alert until no level is left.
cases as (
    select
        customer_id,
        case_no,
        min(as_of) as opened_at,
        max(as_of) filter (where to_value is null) as closed_at,
        coalesce(max(as_of) filter (where to_value is null), {{ as_of_utc() }}) as seen_until,
        bool_or(to_value is null and reason = 'no longer in the data') as is_gone,
        {{ latest("to_value", "level_no") }} as level
    from numbered
    group by customer_id, case_no
),

activity as (
    select
        customer_id,
        ordered_at as happened_at
    from {{ ref("int_orders") }}
    where is_counted and customer_id in (select cases.customer_id from cases)
    {%- if of_activity %}
    union all
    select
        customer_id,
        occurred_at as happened_at
    from {{ ref("stg_interactions") }}
    where
        occurred_at >= (select min(cases.opened_at) from cases)
        and customer_id in (select cases.customer_id from cases)
    {%- endif %}
),

active as (
    select
        cases.customer_id,
        cases.case_no,
        max(activity.happened_at) as last_active_at
    from cases
    inner join activity
        on
            cases.customer_id = activity.customer_id
            and cases.seen_until >= activity.happened_at
    group by cases.customer_id, cases.case_no
),

contacts as (
    select
        customer_id,
        done_at as contacted_at
    from {{ ref("register_follow_ups") }}
    where done_at is not null
    union all
    select
        customer_id,
        sent_at as contacted_at
    from {{ ref("fct_care_deliveries") }}
    where
        kind = 'send'
        and sent_at is not null
        and rule in (
            select rule_lists.rule from {{ source("program", "rule_lists") }} as rule_lists
            where rule_lists.list = 'entered_alert_levels'
        )
),

contacted as (
    select distinct
        cases.customer_id,
        cases.case_no
    from cases
    inner join contacts
        on
            cases.customer_id = contacts.customer_id
            and cases.opened_at <= contacts.contacted_at
            and cases.seen_until >= contacts.contacted_at
),

judged as (
    select
        {{ period_start("month", local_date("cases.opened_at")) }} as opened_month,
        {{ period_start("month", local_date("cases.closed_at")) }} as closed_month,
        coalesce(cases.level, '(unknown)') as level,
        contacted.customer_id is not null as is_contacted,
        coalesce(customers.is_high_value, false) as is_high_value,
        case
            when cases.closed_at is null then 'open'
            when cases.is_gone then 'gone'
            when active.last_active_at > cases.opened_at then 'saved'
            when
                {{ days_between(
                    local_date("active.last_active_at"), local_date("cases.closed_at")
                ) }}
                > {{ setting("activity.lost_days", "integer") }}
                then 'lost'
            else 'eased'
        end as outcome
    from cases
    left join active on cases.customer_id = active.customer_id and cases.case_no = active.case_no
    left join contacted
        on cases.customer_id = contacted.customer_id and cases.case_no = contacted.case_no
    left join customers on cases.customer_id = customers.customer_id
),

monthly as (
    select
        opened_month as month_start,
        level,
        count(*) as opened,
        count(*) filter (where is_contacted) as contacted,
        0 as saved,
        0 as lost,
        0 as eased,
        0 as gone,
        0 as closed,
        count(*) filter (where is_high_value) as high_value_opened,
        count(*) filter (where is_high_value and is_contacted) as high_value_contacted,
        0 as high_value_saved,
        0 as high_value_lost,
        0 as high_value_closed
    from judged
    group by opened_month, level
    union all
    select
        closed_month as month_start,
        level,
        0 as opened,
        0 as contacted,
        count(*) filter (where outcome = 'saved') as saved,
        count(*) filter (where outcome = 'lost') as lost,
        count(*) filter (where outcome = 'eased') as eased,
        count(*) filter (where outcome = 'gone') as gone,
        count(*) as closed,
        0 as high_value_opened,
        0 as high_value_contacted,
        count(*) filter (where outcome = 'saved' and is_high_value) as high_value_saved,
        count(*) filter (where outcome = 'lost' and is_high_value) as high_value_lost,
        count(*) filter (where is_high_value) as high_value_closed
    from judged
    where closed_month is not null
    group by closed_month, level
),

months as (
    select distinct
        month_start,
        quarter_start
    from {{ ref("dim_calendar") }}
    where
        month_start >= (select min(monthly.month_start) from monthly)
        and day <= {{ as_of_date() }}
),

periods as (
    select distinct
        'month' as period_type,
        month_start as period_start,
        month_start
    from months
    union all
    select distinct
        'quarter' as period_type,
        quarter_start as period_start,
        month_start
    from months
),

known_levels as (
    select level from levels
    union
    select level from monthly
),

summed as (
    select
        periods.period_type,
        periods.period_start,
        {%- for name in counts %}
        coalesce(sum(monthly.{{ name }}), 0) as {{ name }},
        {%- endfor %}
        known_levels.level
    from periods
    cross join known_levels
    left join monthly
        on periods.month_start = monthly.month_start and known_levels.level = monthly.level
    group by periods.period_type, periods.period_start, known_levels.level
),

balanced as (
    select
        *,
        sum(opened - closed) over (
            partition by period_type, level
            order by period_start
            rows between unbounded preceding and current row
        ) as closing,
        sum(high_value_opened - high_value_closed) over (
            partition by period_type, level
            order by period_start
            rows between unbounded preceding and current row
        ) as high_value_closing
    from summed
),

final as (
    select
        balanced.period_type,
        balanced.period_start,
        balanced.level,
        cast(levels.position as integer) as level_no,
        cast(balanced.closing - balanced.opened + balanced.closed as bigint) as opening,
        {%- for name in counts if name not in ("closed", "high_value_closed") %}
        cast(balanced.{{ name }} as bigint) as {{ name }},
        {%- endfor %}
        cast(balanced.closing as bigint) as closing,
        cast(balanced.high_value_closing as bigint) as high_value_closing
    from balanced
    left join levels on balanced.level = levels.level
)

select * from final
