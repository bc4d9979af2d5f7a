with

groups as (
    select * from {{ ref("int_care_uplift_groups") }}
),

comparisons as (
    select * from {{ ref("int_care_uplift") }}
),

rules as (
    select * from {{ source("program", "rules") }}
),

final as (
    select
        groups.experiment_kind,
        groups.experiment,
        groups.period,
        case when groups.experiment_kind = 'rule' then rules.title_en end as title_en,
        case when groups.experiment_kind = 'rule' then rules.title_zh end as title_zh,
        groups.conversion_event,
        cast(groups.holdout_share as double) as holdout_share,
        cast(groups.treated_customers as bigint) as treated_customers,
        cast(groups.treated_conversions as bigint) as treated_conversions,
        comparisons.treated_rate,
        cast(groups.holdout_customers as bigint) as holdout_customers,
        cast(groups.holdout_conversions as bigint) as holdout_conversions,
        comparisons.holdout_rate,
        comparisons.rate_difference,
        comparisons.rate_difference_low,
        comparisons.rate_difference_high,
        comparisons.treated_spend,
        comparisons.holdout_spend,
        comparisons.spend_difference,
        comparisons.spend_difference_low,
        comparisons.spend_difference_high,
        comparisons.sample_ratio_p,
        groups.complete_on,
        comparisons.verdict,
        comparisons.verdict_en,
        comparisons.verdict_zh
    from groups
    inner join comparisons
        on
            groups.experiment_kind = comparisons.experiment_kind
            and groups.experiment = comparisons.experiment
            and groups.period = comparisons.period
    left join rules on groups.experiment = rules.rule
)

select * from final
