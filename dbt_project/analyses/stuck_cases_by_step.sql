-- At which step of the closed loop are cases stuck, how many, and for how long?
select
    step_en as step,
    coalesce(department, 'none') as responsible,
    sum(cases) as waiting,
    sum(stuck) as stuck_cases,
    round(max(oldest_hours) / 24, 1) as oldest_days
from rpt_closed_loop
where cases > 0
group by step_no, step_en, responsible
order by step_no asc, stuck_cases desc, responsible asc
