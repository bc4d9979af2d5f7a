with steps as (
    select *, unnest(range(7)) as e, rnd(row_no(c, k), 'waiting') % 3 = 0 as waits,
        (coalesce(solved_first, getvariable('t_end')) - responded) // 3 as third
    from tick where not in_store
),
timed as (
    select
        row_id('T', c, k) as ticket_id, c, k, e, owner,
        case e
            when 0 then opened
            when 1 then case when waits and third > 60 then responded + third end
            when 2 then case when waits and third > 60 then responded + 2 * third end
            when 3 then solved_first
            when 4 then reopened
            when 5 then case when reopened is not null then resolved end
            when 6 then closed
        end as moment
    from steps
)
select
    ticket_id, utc(moment) as "at", ['open', 'pending', 'open', 'solved', 'open', 'solved', 'closed'][e + 1] as status,
    case when e in (1, 3, 5) then owner end as actor_id
from timed where moment is not null
order by c, k, e
