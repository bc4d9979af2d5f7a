-- How does each segment develop? opening + entered - departed = closing, month by month.
select
    period_start as month,
    value as segment,
    opening,
    entered,
    departed,
    closing,
    round(100 * net / nullif(opening, 0), 1) as growth_percent
from rpt_segment_migration
where period_type = 'month' and dimension = 'segment'
order by period_start, value;
