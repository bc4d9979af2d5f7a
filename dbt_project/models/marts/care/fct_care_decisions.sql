with

gates as (
    select * from {{ ref("int_care_gates") }}
),

arbitration as (
    select * from {{ ref("int_care_arbitration") }}
),

customers as (
    select * from {{ ref("int_care_customers") }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

offers as (
    select * from {{ source("program", "offers") }}
),

freshness as (
    select * from {{ ref("int_care_freshness") }}
),

spoken as (
    select channel from {{ source("program", "channels") }}
    where is_spoken
),

-- Names of the sets of channels there are.
sets as (
    select distinct channels
    from (
        select rule_channels as channels from gates
        union all
        select reachable_channels as channels from gates
        union all
        select consented_channels as channels from gates
        union all
        select open_channels as channels from gates
        union all
        select reachable_channels & refused_channels as channels from gates
        union all
        select rule_channels & suppressed_channels as channels from gates
    ) as used
),

named as (
    select
        sets.channels,
        '[' || coalesce({{ text_list(
            "'\"' || members.channel || '\"'", ", ", "members.position"
        ) }}, '') || ']' as as_json,
        coalesce({{ text_list("members.channel", ", ", "members.position") }}, 'none') as as_text
    from sets
    left join {{ source("program", "channels") }} as members
        on (sets.channels & members.bit) <> 0
    group by sets.channels
),

judged as (
    select
        gates.*,
        rules.rule_version,
        rules.template,
        rules.offer,
        rules.who,
        rules.priority,
        rules.cap_group,
        rules.cooldown,
        customers.locale,
        customers.account_manager_id,
        customers.predicted_value,
        customers.segment,
        customers.stage,
        customers.churn_level,
        rules.who <> 'automatic' or spoken.channel is not null as is_task,
        coalesce(gates.purpose in ({{ setting_list("caps.exempt_purposes") }}), false)
            as is_cap_exempt,
        arbitration.is_accepted,
        arbitration.eligible_on as free_on,
        arbitration.full_caps,
        arbitration.caps_json,
        coalesce(
            gates.gate, case when arbitration.is_accepted = false then 'caps' end
        ) as first_gate
    from gates
    inner join rules on gates.rule = rules.rule
    left join customers on gates.customer_id = customers.customer_id
    left join spoken on gates.channel = spoken.channel
    left join arbitration on gates.decision_key = arbitration.decision_key
),

concluded as (
    select
        *,
        case
            when first_gate is null and is_task then 'task'
            when first_gate is null then 'send'
            when first_gate = 'holdout' then 'withheld'
            when first_gate = 'quiet_hours' and timing = 'later' then 'deferred'
            when first_gate = 'quiet_hours' and timing = 'expired' then 'expired'
            else 'blocked'
        end as outcome
    from judged
),

ordered as (
    select
        decision_key,
        row_number() over (
            order by
                priority desc,
                predicted_value desc nulls last,
                came_up_on asc,
                decision_key asc
        ) as order_no
    from concluded
    where outcome in ('send', 'task')
),

final as (
    select
        concluded.decision_key,
        concluded.customer_id,
        concluded.rule,
        concluded.rule_version,
        concluded.occasion,
        concluded.came_up_on,
        concluded.occurred_at,
        concluded.purpose,
        case when concluded.is_task then 'task' else 'send' end as kind,
        concluded.outcome,
        concluded.first_gate as gate,
        {{ gate_reason() }} as gate_reason,
        case
            when concluded.first_gate = 'cooldown' and concluded.cool_on > {{ as_of_date() }}
                then concluded.cool_on
            when concluded.first_gate = 'cooldown' then {{ days_after(as_of_date(), 1) }}
            when concluded.outcome = 'deferred' then concluded.slot_on
            when concluded.first_gate = 'caps' then concluded.free_on
        end as eligible_on,
        concluded.channel,
        concluded.template,
        coalesce(concluded.locale, '{{ run_context("locale") }}') as locale,
        concluded.offer,
        case
            when offers.id is not null
                then {{ plus_units(
                    "coalesce(" ~ local_date("concluded.not_before") ~ ", " ~ as_of_date() ~ ")",
                    "offers.valid_amount",
                    "offers.valid_unit"
                ) }}
        end as offer_until,
        case
            when not concluded.is_task then null
            when concluded.who <> 'automatic' then concluded.who
            else 'service'
        end as owner_role,
        case
            when concluded.is_task and concluded.who = 'account_manager'
                then concluded.account_manager_id
        end as owner_id,
        case when concluded.is_task then concluded.due_at end as due_at,
        concluded.not_before,
        concluded.expires_at,
        {{ local_date("concluded.not_before") }} as contact_on,
        concluded.priority,
        cast(ordered.order_no as bigint) as order_no,
        case
            when not concluded.reached_holdout or not concluded.has_holdout then null
            when concluded.holdout_scope is not null then 'holdout'
            else 'treated'
        end as arm,
        concluded.holdout_scope,
        case
            when concluded.reached_holdout and concluded.has_holdout
                then 1 - (1 - {{ setting("holdout.share", "double") }}) * (1 - concluded.rule_share)
        end as holdout_share,
        concluded.reached_holdout,
        concluded.is_cap_exempt,
        concluded.cap_group,
        concluded.about,
        {{ gates_json() }} as gates,
        concluded.segment,
        concluded.stage,
        concluded.churn_level,
        {{ as_of_utc() }} as as_of,
        {{ as_of_date() }} as as_of_on,
        '{{ run_context("pack_hash") }}' as pack_hash
    from concluded
    left join ordered on concluded.decision_key = ordered.decision_key
    left join offers on concluded.offer = offers.id
    inner join freshness on concluded.purpose = freshness.purpose
    inner join named as asked on concluded.rule_channels = asked.channels
    inner join named as reached on concluded.reachable_channels = reached.channels
    inner join named as consented on concluded.consented_channels = consented.channels
    inner join named as refused
        on (concluded.reachable_channels & concluded.refused_channels) = refused.channels
    inner join named as suppressed
        on (concluded.rule_channels & concluded.suppressed_channels) = suppressed.channels
    inner join named as left_over on concluded.open_channels = left_over.channels
)

select * from final
