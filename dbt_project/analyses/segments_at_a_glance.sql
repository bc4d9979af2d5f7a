-- How big are the segments, what are they worth, and how do they compare with the plan?
select
    segment,
    title_en,
    title_zh,
    customers,
    round(100 * actual_share, 1) as actual_percent,
    round(100 * expected_share, 1) as expected_percent,
    spend_long,
    round(100 * spend_long / nullif(sum(spend_long) over (), 0), 1) as spend_percent,
    condition
from rpt_segment_shares
order by position;
