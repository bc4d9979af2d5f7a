select
    ticket_id, customer_no(c) as customer_no, order_id as order_no, utc(opened) as opened_at, 
    channel, touchpoint, kind, category, urgency, is_complex, department, owner as owner_id,
    utc(automatic) as automatic_response_at, utc(acknowledged) as acknowledged_at, utc(handed_over) as handed_over_at,
    utc(responded) as first_response_at, utc(resolved_now) as resolved_at, utc(closed) as closed_at,
    (reopened is not null)::int as reopened_count, description, result, resolution, confirmation, utc(archived) as archived_at, utc(updated) as updated_at
from ticket where not in_store
order by c, k
