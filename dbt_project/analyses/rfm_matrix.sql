-- How are buyers spread over recency and frequency? One row per recency score.
select
    r_score,
    count(*) filter (where f_score = 1) as f1,
    count(*) filter (where f_score = 2) as f2,
    count(*) filter (where f_score = 3) as f3,
    count(*) filter (where f_score = 4) as f4,
    count(*) filter (where f_score >= 5) as f5_and_more,
    sum(spend_total) as spend_total
from dim_customers
where r_score is not null
group by r_score
order by r_score desc;
