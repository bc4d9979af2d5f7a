-- Which gate stops how much of each rule? The day's decisions by rule, outcome and gate.
select
    rule,
    outcome,
    gate,
    sum(decisions) as decisions,
    sum(customers) as customers,
    min(first_eligible_on) as first_eligible_on
from rpt_care_decisions
group by rule, outcome, gate
order by rule asc, decisions desc, outcome asc, gate asc;
