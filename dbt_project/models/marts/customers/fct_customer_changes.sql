{%- set dimensions = {"segment": "segments", "stage": "stages"} -%}
{%- set others = {"tier": "below every tier", "churn_level": "no alert is open"} -%}

with

previous_changes as (
    select * from {{ source("run", "previous_customer_changes") }}
),

previous as (
    select * from {{ ref("int_customer_previous") }}
),

customers as (
    select * from {{ ref("int_customer_segments") }}
),

loyalty as (
    select * from {{ ref("int_customer_loyalty") }}
),

churn as (
    select * from {{ ref("int_customer_churn") }}
),

profile as (
    select * from {{ ref("int_customer_profile") }}
),

states as (
    select
        customers.*,
        loyalty.tier,
        loyalty.tier_reason,
        churn.churn_level,
        churn.churn_reason as churn_level_reason
    from customers
    inner join loyalty on customers.customer_id = loyalty.customer_id
    inner join churn on customers.customer_id = churn.customer_id
),

moved as (
    select
        coalesce(states.customer_id, previous.customer_id) as customer_id,
        states.customer_id is not null as is_present,
        previous.segment as previous_segment,
        states.segment,
        states.segment_reason,
        previous.stage as previous_stage,
        states.stage,
        states.stage_reason,
        previous.tier as previous_tier,
        states.tier,
        states.tier_reason,
        previous.churn_level as previous_churn_level,
        states.churn_level,
        states.churn_level_reason
    from states
    full outer join previous on states.customer_id = previous.customer_id
    where
        states.segment is distinct from previous.segment
        or states.stage is distinct from previous.stage
        or states.tier is distinct from previous.tier
        or states.churn_level is distinct from previous.churn_level
),

{% for dimension, list_name in dimensions.items() -%}
{{ dimension }}_changes as (
    select
        moved.customer_id,
        '{{ dimension }}' as dimension,
        moved.previous_{{ dimension }} as from_value,
        moved.{{ dimension }} as to_value,
        case
            when moved.is_present then moved.{{ dimension }}_reason
            else 'no longer in the data'
        end as reason,
        case when moved.is_present then {{ json_of(condition_measures(list_name)) }} end
            as measures
    from moved
    left join profile on moved.customer_id = profile.customer_id
    where moved.{{ dimension }} is distinct from moved.previous_{{ dimension }}
),

{% endfor -%}
{% for dimension, without in others.items() -%}
{{ dimension }}_changes as (
    select
        customer_id,
        '{{ dimension }}' as dimension,
        previous_{{ dimension }} as from_value,
        {{ dimension }} as to_value,
        case
            when is_present then coalesce({{ dimension }}_reason, '{{ without }}')
            else 'no longer in the data'
        end as reason,
        cast(null as varchar) as measures
    from moved
    where {{ dimension }} is distinct from previous_{{ dimension }}
),

{% endfor -%}
new_changes as (
    select * from segment_changes
    union all
    select * from stage_changes
    union all
    select * from tier_changes
    union all
    select * from churn_level_changes
),

final as (
    select
        change_key,
        customer_id,
        dimension,
        from_value,
        to_value,
        changed_on,
        as_of,
        reason,
        measures,
        pack_hash
    from previous_changes
    where as_of < {{ as_of_utc() }}
    union all
    select
        -- Readable, and unique: a customer has at most one change of a dimension per as_of.
        customer_id || ' ' || dimension || ' ' || {{ text_literal(run_context("as_of_utc")) }}
            as change_key,
        customer_id,
        dimension,
        from_value,
        to_value,
        {{ as_of_date() }} as changed_on,
        {{ as_of_utc() }} as as_of,
        reason,
        measures,
        {{ text_literal(run_context("pack_hash")) }} as pack_hash
    from new_changes
)

select * from final
