-- Which tags are known for too few customers, and how many customers does that concern?
select
    tag,
    title_en,
    title_zh,
    customers,
    customers - filled as unknown,
    round(100 * completeness, 1) as known_percent,
    round(100 * target, 1) as target_percent,
    tagged
from rpt_tag_completeness
where tag <> 'overall'
order by known_percent asc, tag asc;
