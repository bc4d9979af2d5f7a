-- How did alerts end, and how long had they lasted? By signal and reason, over all closed alerts.
select
    signal_title_en,
    close_reason,
    count(*) as alerts,
    round(avg(closed_on - onset_on), 1) as average_days_open
from fct_customer_alerts
where not is_open
group by signal_title_en, close_reason
order by signal_title_en asc, alerts desc, close_reason asc;
