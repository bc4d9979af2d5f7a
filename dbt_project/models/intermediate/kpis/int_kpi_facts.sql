{{ config(materialized="view") }}

with

care as (
    select * from {{ ref("int_kpi_care") }}
),

loyalty as (
    select * from {{ ref("int_kpi_loyalty") }}
),

voice as (
    select * from {{ ref("int_kpi_voice") }}
),

service as (
    select * from {{ ref("int_kpi_service") }}
),

state as (
    select * from {{ ref("int_kpi_state") }}
),

final as (
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from care
    union all
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from loyalty
    union all
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from voice
    union all
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from service
    union all
    select
        kpi,
        period_type,
        period_start,
        customer_id,
        owner_id,
        touchpoint,
        is_core,
        numerator,
        denominator
    from state
)

select * from final
