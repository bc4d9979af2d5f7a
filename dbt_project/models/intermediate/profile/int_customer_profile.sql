with

customers as (
    select * from {{ ref("stg_customers") }}
),

customer_orders as (
    select * from {{ ref("int_customer_orders") }}
),

customer_rfm as (
    select * from {{ ref("int_customer_rfm") }}
),

customer_value as (
    select * from {{ ref("int_customer_value") }}
),

customer_churn_risk as (
    select * from {{ ref("int_customer_churn_risk") }}
),

customer_interactions as (
    select * from {{ ref("int_customer_interactions") }}
),

customer_tickets as (
    select * from {{ ref("int_customer_tickets") }}
),

customer_surveys as (
    select * from {{ ref("int_customer_surveys") }}
),

customer_consents as (
    select * from {{ ref("int_customer_consents") }}
),

joined as (
    select
        customers.customer_id,
        customers.source,
        customers.account_manager_id,
        {{ local_date("customers.registered_at") }} as registered_on,
        customers.customer_type,
        customers.region,
        customers.industry,
        customers.sex,
        customers.member_tier,
        customers.service_package,
        customers.source_channel,
        customers.locale,
        customers.is_strategic,
        customers.member_since is not null or customers.member_tier is not null as is_member,
        customer_consents.has_consent_marketing,
        customers.cooperation_start_on,
        {{ local_date(
            "coalesce(customers.registered_at, customer_orders.first_order_at,"
            ~ " customer_interactions.first_interaction_at)"
        ) }} as known_since,
        {{ local_date("customer_orders.first_order_at") }} as first_order_on,
        {{ local_date("customer_orders.last_order_at") }} as last_order_on,
        {{ local_date("customer_interactions.last_interaction_at") }} as last_interaction_on,
        {{ local_date(
            "greatest(customer_orders.last_order_at, customer_interactions.last_interaction_at,"
            ~ " customer_tickets.last_ticket_at)"
        ) }} as last_activity_on,
        coalesce(customer_orders.orders_placed, 0) as orders_placed,
        coalesce(customer_orders.deliveries_due, 0) as deliveries_due,
        coalesce(customer_orders.deliveries_late, 0) as deliveries_late,
        {%- for measure in [
            "orders_total", "orders_short", "orders_medium", "orders_long"
        ] %}
        cast(coalesce(customer_orders.{{ measure }}, 0) as integer) as {{ measure }},
        {%- endfor %}
        {%- for measure in [
            "interactions_short", "interactions_medium", "interactions_long",
            "logins_short", "logins_medium", "visits_short", "visits_medium", "visits_long",
            "engagements_medium"
        ] %}
        cast(coalesce(customer_interactions.{{ measure }}, 0) as integer) as {{ measure }},
        {%- endfor %}
        coalesce(customer_interactions.dwell_seconds_short, 0) / 60.0 as dwell_minutes_short,
        {%- for measure in [
            "tickets_medium", "tickets_long", "complaints_medium", "complaints_long",
            "open_tickets"
        ] %}
        cast(coalesce(customer_tickets.{{ measure }}, 0) as integer) as {{ measure }},
        {%- endfor %}
        customer_tickets.tickets_resolved_long
        / cast(nullif(customer_tickets.tickets_long, 0) as double) as resolved_share,
        customer_tickets.first_response_hours,
        customer_tickets.resolution_hours,
        coalesce(customer_orders.orders_discounted, 0) as orders_discounted,
        {%- for measure in ["spend_total", "spend_short", "spend_medium", "spend_long"] %}
        cast(coalesce(customer_orders.{{ measure }}, 0) as decimal(18, 4)) as {{ measure }},
        {%- endfor %}
        customer_rfm.spend_rank,
        customer_rfm.frequency_rank,
        customer_rfm.recency_rank,
        customer_interactions.interaction_rank,
        customer_rfm.spend_long_rank,
        customer_rfm.r_score,
        customer_rfm.f_score,
        customer_rfm.m_score,
        customer_rfm.rfm_sum,
        customer_rfm.rfm_group,
        customer_value.p_alive,
        customer_value.expected_orders,
        customer_value.expected_order_value,
        customer_value.predicted_value,
        customer_value.predicted_value_rank,
        customer_value.is_high_potential,
        customer_churn_risk.churn_risk,
        customer_churn_risk.churn_risk_method,
        customer_churn_risk.churn_risk_reason,
        customer_value.value_method,
        customer_value.value_model_run,
        customer_value.value_note,
        customer_surveys.last_satisfaction,
        customer_surveys.satisfaction_long,
        customer_surveys.nps_last,
        customer_surveys.answer_hours,
        customer_surveys.answered_share,
        customers.birthday
    from customers
    left join customer_orders on customers.customer_id = customer_orders.customer_id
    left join customer_rfm on customers.customer_id = customer_rfm.customer_id
    left join customer_value on customers.customer_id = customer_value.customer_id
    left join customer_churn_risk on customers.customer_id = customer_churn_risk.customer_id
    left join customer_interactions
        on customers.customer_id = customer_interactions.customer_id
    left join customer_tickets on customers.customer_id = customer_tickets.customer_id
    left join customer_surveys on customers.customer_id = customer_surveys.customer_id
    left join customer_consents on customers.customer_id = customer_consents.customer_id
    where
        -- A customer recorded only after as_of is known before by what they did.
        customers.is_recorded
        or customer_orders.customer_id is not null
        or customer_interactions.customer_id is not null
        or customer_tickets.customer_id is not null
),

measured as (
    select
        *,
        {{ days_since("known_since") }} as tenure_days,
        {{ days_since("coalesce(cooperation_start_on, known_since)") }} as cooperation_days,
        {{ days_since("first_order_on") }} as days_since_first_order,
        {{ days_since("last_order_on") }} as days_since_last_order,
        {{ days_since("last_interaction_on") }} as days_since_last_interaction,
        {{ days_since("last_activity_on") }} as days_since_last_activity,
        {{ days_between("first_order_on", "last_order_on") }}
        / nullif(cast(orders_total - 1 as double), 0) as average_order_interval_days
    from joined
),

compared as (
    select
        *,
        {{ own_change("interactions", "short", "long") }} as interaction_change,
        {{ own_change("visits", "short", "long") }} as visit_change,
        {{ own_change("orders", "medium", "long") }} as order_change
    from measured
),

final as (
    select
        customer_id,
        source,
        account_manager_id,
        customer_type,
        region,
        industry,
        sex,
        member_tier,
        service_package,
        source_channel,
        locale,
        is_strategic,
        is_member,
        has_consent_marketing,
        cast(tenure_days as integer) as tenure_days,
        cast(cooperation_days as integer) as cooperation_days,
        cast(days_since_first_order as integer) as days_since_first_order,
        cast(days_since_last_order as integer) as days_since_last_order,
        cast(days_since_last_interaction as integer) as days_since_last_interaction,
        cast(days_since_last_activity as integer) as days_since_last_activity,
        orders_total,
        orders_short,
        orders_medium,
        orders_long,
        interactions_short,
        interactions_medium,
        interactions_long,
        logins_short,
        logins_medium,
        visits_short,
        visits_medium,
        visits_long,
        engagements_medium,
        cast(dwell_minutes_short as double) as dwell_minutes_short,
        interaction_change,
        visit_change,
        order_change,
        tickets_medium,
        tickets_long,
        complaints_medium,
        complaints_long,
        open_tickets,
        resolved_share,
        first_response_hours,
        resolution_hours,
        spend_total,
        spend_short,
        spend_medium,
        spend_long,
        cast(spend_total / nullif(orders_total, 0) as decimal(18, 4)) as average_order_value,
        spend_rank,
        frequency_rank,
        recency_rank,
        interaction_rank,
        spend_long_rank,
        (orders_placed - orders_total) / cast(nullif(orders_placed, 0) as double)
            as returned_share,
        orders_discounted / cast(nullif(orders_total, 0) as double) as discounted_share,
        deliveries_late / cast(nullif(deliveries_due, 0) as double) as late_delivery_share,
        r_score,
        f_score,
        m_score,
        rfm_sum,
        rfm_group,
        p_alive,
        expected_orders,
        expected_order_value,
        predicted_value,
        predicted_value_rank,
        is_high_potential,
        churn_risk,
        churn_risk_method,
        churn_risk_reason,
        value_method,
        value_model_run,
        value_note,
        last_satisfaction,
        satisfaction_long,
        nps_last,
        answer_hours,
        answered_share,
        {{ whole_years("birthday", as_of_date()) }} as age_years,
        average_order_interval_days,
        days_since_last_order / nullif(average_order_interval_days, 0) as interval_ratio,
        registered_on,
        first_order_on,
        last_order_on,
        last_interaction_on,
        last_activity_on
    from compared
)

select * from final
