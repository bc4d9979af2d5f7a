with

messages as (
    select * from {{ source("ledger", "messages") }}
    where kind = 'task'
),

states as (
    select * from {{ ref("int_care_message_states") }}
),

responses as (
    select * from {{ ref("int_care_responses") }}
),

follow_ups as (
    select * from {{ ref("fct_follow_ups") }}
),

tasks as (
    select
        messages.message_id,
        messages.decision_key,
        messages.customer_id,
        messages.rule,
        messages.channel,
        messages.offer,
        messages.owner_role,
        messages.owner_id,
        messages.as_of,
        messages.contact_on,
        coalesce(messages.due_at, messages.expires_at) as due_at,
        states.state,
        states.reason,
        least(responses.done_at, responses.replied_at, responses.answered_at) as reported_at
    from messages
    inner join states on messages.message_id = states.message_id
    left join responses on messages.message_id = responses.message_id
),

-- Who has been followed up since has been followed up, whoever wrote it down where.
contacted as (
    select
        tasks.message_id,
        min(follow_ups.done_at) as contacted_at
    from tasks
    inner join follow_ups
        on
            tasks.customer_id = follow_ups.customer_id
            and tasks.as_of <= follow_ups.done_at
    group by tasks.message_id
),

-- A follow-up under a task's id is what somebody wrote down about the task: not another one.
finished as (
    select
        tasks.*,
        records.method as recorded_method,
        records.staff_id as recorded_by,
        records.owner_id as recorded_owner,
        records.planned_at as recorded_plan,
        records.due_on as recorded_due,
        least(tasks.reported_at, contacted.contacted_at, records.done_at) as done_at,
        tasks.state in ('cancelled', 'expired', 'failed', 'suppressed') as is_called_off
    from tasks
    left join contacted on tasks.message_id = contacted.message_id
    left join follow_ups as records on tasks.message_id = records.follow_up_id
),

from_ledger as (
    select
        message_id as task_id,
        'careloop' as origin,
        customer_id,
        rule,
        decision_key,
        coalesce(done_at, recorded_plan, {{ day_start_utc("contact_on") }}) as {{ quoted("time") }},
        coalesce(recorded_method, channel) as method,
        coalesce(recorded_by, owner_id) as done_by,
        offer,
        owner_role,
        coalesce(recorded_owner, owner_id) as owner,
        contact_on as planned_on,
        due_at,
        coalesce(recorded_due, {{ local_date("due_at") }}) as due,
        done_at,
        {{ local_date("done_at") }} as done_on,
        case
            when done_at is not null then 'done'
            when is_called_off then 'called_off'
            when due_at <= {{ as_of_utc() }} then 'overdue'
            else 'open'
        end as state,
        case
            when done_at is null and is_called_off then 0
            when coalesce(done_at, {{ as_of_utc() }}) > due_at
                then {{ days_between(
                    local_date("due_at"),
                    local_date("coalesce(done_at, " ~ as_of_utc() ~ ")")
                ) }}
            else 0
        end as days_late,
        case when done_at is null and is_called_off then reason end as reason
    from finished
),

final as (
    select * from from_ledger
    union all
    select
        follow_up_id as task_id,
        'crm' as origin,
        customer_id,
        cast(null as varchar) as rule,
        cast(null as varchar) as decision_key,
        coalesce(done_at, planned_at) as {{ quoted("time") }},
        method,
        coalesce(staff_id, owner_id) as done_by,
        cast(null as varchar) as offer,
        cast(null as varchar) as owner_role,
        coalesce(owner_id, staff_id) as owner,
        planned_on,
        cast(null as timestamp) as due_at,
        coalesce(due_on, planned_on) as due,
        done_at,
        done_on,
        case when state in ('planned', 'undated') then 'open' else state end as state,
        days_late,
        cast(null as varchar) as reason
    from follow_ups
    where follow_up_id not in (select messages.message_id from messages)
)

select * from final
