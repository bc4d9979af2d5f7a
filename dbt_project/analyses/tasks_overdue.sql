-- Which tasks are overdue, and whose are they?
select
    coalesce(owner_id, owner_role, 'nobody') as owner,
    count(*) as tasks,
    max(days_late) as longest_days,
    min(due_on) as first_due_on
from register_follow_ups
where state = 'overdue'
group by owner
order by tasks desc, owner asc
