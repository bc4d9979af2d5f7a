-- What did each rule achieve against customers left alone, over all time?
select
    title_en,
    conversion_event,
    treated_customers,
    holdout_customers,
    round(100 * rate_difference, 1) as points,
    round(spend_difference, 2) as spend_per_customer,
    verdict_en,
    verdict_zh
from rpt_care_uplift
where experiment_kind = 'rule' and period = 'all'
order by rate_difference_low desc nulls last, experiment asc
