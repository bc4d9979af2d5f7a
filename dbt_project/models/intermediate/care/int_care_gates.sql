{%- set salt = text_literal(setting_text("holdout.salt")) -%}
{%- set exempt_from_holdout = setting_list("holdout.exempt_purposes") -%}

with

candidates as (
    select * from {{ ref("int_care_candidates") }}
),

customers as (
    select * from {{ ref("int_care_customers") }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

slots as (
    select * from {{ ref("int_care_slots") }}
),

contacts as (
    select * from {{ ref("int_care_contacts") }}
),

exposures as (
    select * from {{ source("ledger", "exposures") }}
    where as_of < {{ as_of_utc() }}
),

rule_channels as (
    select
        rule_channels.rule,
        rule_channels.position,
        rule_channels.channel,
        channels.bit
    from {{ source("program", "rule_channels") }} as rule_channels
    inner join {{ source("program", "channels") }} as channels
        on rule_channels.channel = channels.channel
),

rule_sets as (
    select
        rule,
        cast(sum(bit) as integer) as rule_channels
    from rule_channels
    group by rule
),

purposes as (
    select
        purpose,
        {{ setting_text_of("consent", "purpose") }} as policy,
        coalesce(purpose in ({{ exempt_from_holdout }}), false) as is_holdout_exempt
    from (select distinct purpose from rules) as used
),

reach as (
    select
        customer_id,
        preferred_channel,
        preferred_time_from,
        {{ channels_to(none) }}
        + case when has_phone then {{ channels_to("phone") }} else 0 end
        + case when has_email then {{ channels_to("email") }} else 0 end
        + case when has_wecom then {{ channels_to("wecom_id") }} else 0 end
        + case when has_push then {{ channels_to("push_token") }} else 0 end
            as reachable_channels
    from customers
),

-- Gates 1 to 4: the channels that are left after each.
permitted as (
    select
        candidates.customer_id,
        candidates.rule,
        candidates.occasion,
        candidates.came_up_on,
        candidates.occurred_at,
        candidates.expires_at,
        candidates.due_at,
        candidates.about,
        md5(candidates.rule || '|' || candidates.customer_id || '|' || candidates.occasion)
            as decision_key,
        rules.rule_version,
        rules.purpose,
        rules.cooldown_amount,
        rules.cooldown_unit,
        rules.holdout as rule_share,
        purposes.policy,
        purposes.is_holdout_exempt,
        reach.customer_id is not null as is_known,
        coalesce(reach.preferred_channel, '') as preferred_channel,
        reach.preferred_time_from,
        rule_sets.rule_channels,
        rule_sets.rule_channels & coalesce(reach.reachable_channels, 0) as reachable_channels,
        case purposes.policy
            when 'opt_in' then coalesce(consents.granted_channels, 0)
            else {{ all_channels() }} - coalesce(consents.refused_channels, 0)
        end as permitted_channels,
        coalesce(consents.granted_channels, 0) as granted_channels,
        coalesce(consents.refused_channels, 0) as refused_channels,
        consents.changed_at as consent_changed_at,
        coalesce(suppressions.suppressed_channels, 0) as suppressed_channels,
        suppressions.reasons as suppression_reasons
    from candidates
    inner join rules on candidates.rule = rules.rule
    inner join rule_sets on candidates.rule = rule_sets.rule
    inner join purposes on rules.purpose = purposes.purpose
    left join reach on candidates.customer_id = reach.customer_id
    left join {{ ref("int_care_consents") }} as consents
        on candidates.customer_id = consents.customer_id and rules.purpose = consents.purpose
    left join {{ ref("int_care_suppressions") }} as suppressions
        on
            candidates.customer_id = suppressions.customer_id
            and rules.purpose = suppressions.purpose
),

narrowed as (
    select
        *,
        reachable_channels & permitted_channels as consented_channels,
        reachable_channels & permitted_channels & ({{ all_channels() }} - suppressed_channels)
            as open_channels
    from permitted
),

-- By purpose: the channels that can go out before a time, that can go today, that are dropped.
ends as (
    select
        purpose,
        slot_at as from_at,
        lead(slot_at) over (partition by purpose order by slot_at) as until_at
    from (
        select distinct
            purpose,
            slot_at
        from slots
        where slot_at is not null and not is_dropped
    ) as times
),

in_time as (
    select
        ends.purpose,
        ends.from_at,
        coalesce(ends.until_at, timestamp '9999-12-31') as until_at,
        cast(sum(slots.bit) as integer) as channels,
        cast(sum(case when slots.slot_on = {{ as_of_date() }} then slots.bit else 0 end) as integer)
            as channels_today
    from ends
    inner join slots
        on ends.purpose = slots.purpose and ends.from_at >= slots.slot_at and not slots.is_dropped
    group by ends.purpose, ends.from_at, ends.until_at
),

kept as (
    select
        purpose,
        cast(sum(case when is_dropped then 0 else bit end) as integer) as channels
    from slots
    group by purpose
),

timed as (
    select
        narrowed.*,
        coalesce(narrowed.open_channels & in_time.channels, 0) as usable_channels,
        coalesce(narrowed.open_channels & in_time.channels_today, 0) as usable_today,
        narrowed.open_channels & kept.channels as kept_channels
    from narrowed
    inner join kept on narrowed.purpose = kept.purpose
    left join in_time
        on
            narrowed.purpose = in_time.purpose
            and coalesce(narrowed.expires_at, timestamp '9999-12-31') > in_time.from_at
            and coalesce(narrowed.expires_at, timestamp '9999-12-31') <= in_time.until_at
),

choosing as (
    select
        *,
        case
            when usable_today <> 0 then usable_today
            when usable_channels <> 0 then usable_channels
            when kept_channels <> 0 then kept_channels
            else open_channels
        end as eligible_channels
    from timed
),

-- The earliest day goes before the customer's own channel, that before the rule's order. The few
-- combinations there are are looked at once.
choices as (
    select
        combinations.rule,
        combinations.eligible_channels,
        combinations.preferred_channel,
        rule_channels.channel,
        row_number() over (
            partition by
                combinations.rule,
                combinations.eligible_channels,
                combinations.preferred_channel
            order by
                slots.slot_on asc nulls last,
                case when rule_channels.channel = combinations.preferred_channel then 0 else 1 end
                asc,
                rule_channels.position asc
        ) as place
    from (
        select distinct
            rule,
            purpose,
            eligible_channels,
            preferred_channel
        from choosing
        where eligible_channels <> 0
    ) as combinations
    inner join rule_channels
        on
            combinations.rule = rule_channels.rule
            and (combinations.eligible_channels & rule_channels.bit) <> 0
    inner join slots
        on
            combinations.purpose = slots.purpose
            and rule_channels.channel = slots.channel
),

last_contacts as (
    select
        customer_id,
        rule,
        max(contact_on) as last_contact_on
    from contacts
    where is_contact
    group by customer_id, rule
),

decided as (
    select
        decision_key,
        max(planned_as_of) as decided_as_of
    from (
        select
            decision_key,
            planned_as_of
        from contacts
        where is_decided
        union all
        select
            decision_key,
            as_of as planned_as_of
        from exposures
        where arm = 'holdout'
    ) as both_kinds
    group by decision_key
),

chosen as (
    select
        choosing.*,
        choices.channel,
        slots.slot_at,
        slots.slot_on,
        slots.waits_for,
        slots.is_exempt as goes_at_once,
        slots.has_quiet_hours,
        freshness.is_fresh,
        decided.decided_as_of,
        last_contacts.last_contact_on,
        case
            when last_contacts.last_contact_on is not null and choosing.cooldown_amount is not null
                then {{ plus_units(
                    "last_contacts.last_contact_on",
                    "choosing.cooldown_amount",
                    "choosing.cooldown_unit"
                ) }}
        end as cool_on,
        case
            when choosing.open_channels = 0 then null
            when choosing.kept_channels = 0 then 'dropped'
            when choosing.usable_channels = 0 then 'expired'
            when choosing.usable_today = 0 then 'later'
            else 'today'
        end as timing
    from choosing
    left join choices
        on
            choosing.rule = choices.rule
            and choosing.eligible_channels = choices.eligible_channels
            and choosing.preferred_channel = choices.preferred_channel
            and choices.place = 1
    left join slots on choosing.purpose = slots.purpose and choices.channel = slots.channel
    inner join {{ ref("int_care_freshness") }} as freshness
        on choosing.purpose = freshness.purpose
    left join decided on choosing.decision_key = decided.decision_key
    left join last_contacts
        on
            choosing.customer_id = last_contacts.customer_id
            and choosing.rule = last_contacts.rule
),

gated as (
    select
        *,
        case
            when reachable_channels = 0 then 'reachable'
            when not is_fresh then 'fresh'
            when consented_channels = 0 then 'consent'
            when open_channels = 0 then 'suppression'
            when decided_as_of is not null then 'reentry'
            when cool_on > {{ as_of_date() }} then 'cooldown'
        end as early_gate
    from chosen
),

-- Two occasions of a rule with a cooldown on the same day: one goes, the other waits.
repeated as (
    select
        customer_id,
        rule
    from gated
    where early_gate is null and cooldown_amount is not null
    group by customer_id, rule
    having count(*) > 1
),

turns as (
    select
        gated.decision_key,
        row_number() over (
            partition by gated.customer_id, gated.rule
            order by
                case gated.timing when 'today' then 1 when 'later' then 2 else 3 end,
                gated.came_up_on,
                gated.decision_key
        ) as place
    from gated
    inner join repeated
        on gated.customer_id = repeated.customer_id and gated.rule = repeated.rule
    where gated.early_gate is null
),

drawn as (
    select
        gated.*,
        case
            when gated.early_gate is not null then gated.early_gate
            when turns.place > 1 then 'cooldown'
        end as gate_before_holdout,
        coalesce(turns.place > 1, false) as waits_for_another,
        {{ share_by_md5(salt ~ " || '|' || gated.customer_id") }} as program_draw,
        case
            when gated.rule_share > 0
                then {{ share_by_md5(
                    salt ~ " || '|' || gated.rule || '|' || gated.customer_id"
                ) }}
        end as rule_draw
    from gated
    left join turns on gated.decision_key = turns.decision_key
),

held as (
    select
        *,
        gate_before_holdout is null as reached_holdout,
        case
            when is_holdout_exempt then null
            when program_draw < {{ setting("holdout.share", "double") }} then 'program'
            when rule_draw < rule_share then 'rule'
        end as holdout_scope,
        not is_holdout_exempt
        and ({{ setting("holdout.share", "double") }} > 0 or rule_share > 0) as has_holdout
    from drawn
),

-- The customer's own time of day, where it is in allowed hours and still ahead. The few there
-- are are turned into UTC once.
own_times as (
    select
        slot_on,
        preferred_time_from,
        {{ utc_time(day_minute("slot_on", minute_of_text("preferred_time_from"))) }} as own_at
    from (
        select distinct
            slot_on,
            preferred_time_from
        from held
        where preferred_time_from is not null and slot_on is not null
    ) as asked
),

placed as (
    select
        held.*,
        case
            when held.timing = 'dropped' then null
            when
                not held.goes_at_once
                and not (
                    held.has_quiet_hours
                    and {{ in_quiet_hours(minute_of_text("held.preferred_time_from")) }}
                )
                and own_times.own_at > held.slot_at
                and own_times.own_at < coalesce(
                    least(held.expires_at, held.due_at), timestamp '9999-12-31'
                )
                then own_times.own_at
            else held.slot_at
        end as not_before
    from held
    left join own_times
        on
            held.slot_on = own_times.slot_on
            and held.preferred_time_from = own_times.preferred_time_from
),

final as (
    select
        decision_key,
        customer_id,
        rule,
        occasion,
        came_up_on,
        occurred_at,
        expires_at,
        due_at,
        about,
        purpose,
        policy,
        is_known,
        rule_channels,
        reachable_channels,
        granted_channels,
        refused_channels,
        consented_channels,
        consent_changed_at,
        suppressed_channels,
        open_channels,
        suppression_reasons,
        is_fresh,
        decided_as_of,
        last_contact_on,
        cool_on,
        waits_for_another,
        reached_holdout,
        has_holdout,
        program_draw,
        rule_draw,
        rule_share,
        case when reached_holdout then holdout_scope end as holdout_scope,
        channel,
        timing,
        waits_for,
        slot_at,
        slot_on,
        not_before,
        case
            when gate_before_holdout is not null then gate_before_holdout
            when holdout_scope is not null then 'holdout'
            when timing <> 'today' then 'quiet_hours'
        end as gate
    from placed
)

select * from final
