-- What happened with one customer? Orders, tickets, contacts, changes and alerts in one line of
-- time, the latest first; here of the customer who is first in the queue, else the best by spend.
with

chosen as (
    select customer_id
    from dim_customers
    order by churn_rank asc nulls last, spend_total desc, customer_id asc
    limit 1
),

events as (
    select
        customer_id,
        ordered_on as happened_on,
        'order' as what,
        concat(order_id, ', ', status, ', ', amount_program) as details
    from fct_orders
    union all
    select
        customer_id,
        opened_on as happened_on,
        'ticket' as what,
        concat_ws(', ', ticket_id, kind, category, case when is_open then 'open' end) as details
    from fct_tickets
    union all
    select
        customer_id,
        done_on as happened_on,
        'contact' as what,
        concat_ws(', ', method, staff_id) as details
    from fct_follow_ups
    where state = 'done'
    union all
    select
        customer_id,
        changed_on as happened_on,
        dimension as what,
        concat(coalesce(from_value, '-'), ' to ', coalesce(to_value, '-'), ': ', reason) as details
    from fct_customer_changes
    union all
    select
        customer_id,
        onset_on as happened_on,
        'alert' as what,
        concat(signal_title_en, ': ', evidence) as details
    from fct_customer_alerts
    union all
    select
        customer_id,
        recorded_on as happened_on,
        'health' as what,
        cast(health_score as varchar) as details
    from fct_customer_health_history
)

select
    events.customer_id,
    events.happened_on,
    events.what,
    events.details
from events
inner join chosen on events.customer_id = chosen.customer_id
order by events.happened_on desc, events.what asc, events.details asc
limit 200;
