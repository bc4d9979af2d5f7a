-- How does each segment develop? opening + new + entered - departed - erased - left = closing.
select
    period_start as month,
    value as segment,
    opening,
    new_customers,
    entered,
    departed,
    erased,
    left_data,
    closing,
    round(100 * net / nullif(opening, 0), 1) as growth_percent
from rpt_segment_migration
where period_type = 'month' and dimension = 'segment'
order by period_start, value;
