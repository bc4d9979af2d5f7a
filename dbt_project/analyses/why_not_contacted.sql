-- Why was, or wasn't, this customer contacted? Every decision of the day about one customer (here
-- the one with the most), first what goes; gates holds every gate with its inputs.
select
    decisions.customer_id,
    decisions.rule,
    decisions.occasion,
    decisions.outcome,
    decisions.gate,
    decisions.gate_reason,
    decisions.eligible_on,
    decisions.channel,
    decisions.not_before,
    decisions.gates
from fct_care_decisions as decisions
where
    decisions.customer_id = (
        select most.customer_id
        from fct_care_decisions as most
        group by most.customer_id
        order by count(*) desc, most.customer_id asc
        limit 1
    )
order by decisions.order_no asc nulls last, decisions.priority desc, decisions.decision_key asc;
