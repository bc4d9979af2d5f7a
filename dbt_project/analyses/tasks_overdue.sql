-- Which tasks are overdue, and whose are they?
select
    coalesce(owner, owner_role, 'nobody') as answers_for_it,
    count(*) as tasks,
    max(days_late) as longest_days,
    min(due) as first_due_on
from register_follow_ups
where state = 'overdue'
group by answers_for_it
order by tasks desc, answers_for_it asc
