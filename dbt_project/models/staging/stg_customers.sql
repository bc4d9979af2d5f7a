{%- set as_of = as_of_utc() -%}

with

customers as (
    select * from {{ source("raw", "customers") }}
),

final as (
    select
        customer_id,
        customer_type,
        registered_at is null or registered_at <= {{ as_of }} as is_recorded,
        {{ seen("registered_at", as_of) }} as registered_at,
        case
            when cooperation_start_on <= {{ as_of_date() }} then cooperation_start_on
        end as cooperation_start_on,
        birthday,
        sex,
        region,
        industry,
        company_founded_on,
        {{ seen("member_since", as_of) }} as member_since,
        case when member_since is null or member_since <= {{ as_of }} then member_tier end
            as member_tier,
        coalesce(is_strategic, false) as is_strategic,
        account_manager_id,
        preferred_channel,
        preferred_contact_time,
        locale,
        source_channel,
        service_package,
        interests,
        {{ seen("updated_at", as_of) }} as updated_at,
        _source as source
    from customers
)

select * from final
