-- What do the caps hold back, and in favour of what? Refused and accepted decisions of the same
-- customers by rule, with the first day on which the refused have room again.
select
    refused.rule as refused_rule,
    accepted.rule as in_favour_of,
    refused.gate_reason as full_caps,
    count(*) as decisions,
    min(refused.eligible_on) as first_eligible_on
from fct_care_decisions as refused
left join fct_care_decisions as accepted
    on
        refused.customer_id = accepted.customer_id
        and accepted.outcome in ('send', 'task')
        and not accepted.is_cap_exempt
where refused.gate = 'caps'
group by refused.rule, accepted.rule, refused.gate_reason
order by decisions desc, refused_rule asc, in_favour_of asc, full_caps asc
limit 100;
