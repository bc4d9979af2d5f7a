{{ config(severity="warn") }}
-- Clocks whose times the pack's calendar does not reach are judged by nobody: a wrong date.
select
    ticket_id,
    clock,
    opened_at
from {{ ref("fct_ticket_clocks") }}
where state = 'unknown'
