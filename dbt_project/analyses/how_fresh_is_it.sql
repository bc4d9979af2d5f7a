-- What do these marts know, and until when? The run, and per entity the last load.
select
    run.as_of_local,
    run.pack,
    run.pack_hash,
    loads.entity,
    count(*) as batches,
    sum(loads.rows_loaded) as rows_loaded,
    sum(loads.rows_rejected) as rows_rejected,
    max(loads.loaded_at) as last_loaded_at,
    max(loads.max_event_at) as last_event_at
from rpt_run as run
left join rpt_loads as loads on true
group by all
order by loads.entity;
