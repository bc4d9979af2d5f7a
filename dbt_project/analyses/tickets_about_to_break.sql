-- Which promises about tickets break within the next 8 hours, and whose are they?
select
    coalesce(fct_ticket_clocks.owner_id, 'nobody') as owner,
    fct_ticket_clocks.due_at as due_at_utc,
    round(date_diff('minute', rpt_run.as_of_utc, fct_ticket_clocks.due_at) / 60.0, 1) as hours_left,
    fct_ticket_clocks.ticket_id,
    fct_ticket_clocks.urgency,
    fct_ticket_clocks.clock_en as promise
from fct_ticket_clocks
cross join rpt_run
where
    fct_ticket_clocks.state = 'running'
    and fct_ticket_clocks.is_open
    and fct_ticket_clocks.due_at <= rpt_run.as_of_utc + interval 8 hour
order by
    fct_ticket_clocks.due_at asc, fct_ticket_clocks.ticket_id asc, fct_ticket_clocks.clock asc
