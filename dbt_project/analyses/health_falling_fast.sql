-- Whose health fell fastest since it was last recorded a month ago, and what costs them most
-- points now? The deepest falls first.
with

latest as (
    select
        customer_id,
        max(recorded_on) as recorded_on
    from fct_customer_health_history
    where recorded_on <= (select run.as_of_on from rpt_run as run) - 30
    group by customer_id
),

a_month_ago as (
    select
        history.customer_id,
        history.health_score
    from fct_customer_health_history as history
    inner join latest
        on
            history.customer_id = latest.customer_id
            and history.recorded_on = latest.recorded_on
),

today as (
    select
        customer_id,
        round(sum(contribution), 1) as health_score,
        arg_max(component, (weight * (100 - score), component)) as costs_most
    from fct_customer_health
    where contribution is not null
    group by customer_id
)

select
    today.customer_id,
    customers.segment,
    customers.account_manager_id,
    today.health_score,
    a_month_ago.health_score as a_month_ago,
    today.health_score - a_month_ago.health_score as health_change,
    today.costs_most
from today
inner join a_month_ago on today.customer_id = a_month_ago.customer_id
inner join dim_customers as customers on today.customer_id = customers.customer_id
where today.health_score < a_month_ago.health_score
order by health_change asc, today.customer_id asc
limit 100;
