{%- set dimensions = {"segment": "segments", "stage": "stages"} -%}

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

profile as (
    select * from {{ ref("int_customer_profile") }}
),

moved as (
    select
        coalesce(customers.customer_id, previous.customer_id) as customer_id,
        customers.customer_id is not null as is_present,
        previous.segment as previous_segment,
        customers.segment,
        customers.segment_reason,
        previous.stage as previous_stage,
        customers.stage,
        customers.stage_reason
    from customers
    full outer join previous on customers.customer_id = previous.customer_id
    where
        customers.segment is distinct from previous.segment
        or customers.stage is distinct from previous.stage
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
new_changes as (
    select * from segment_changes
    union all
    select * from stage_changes
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
