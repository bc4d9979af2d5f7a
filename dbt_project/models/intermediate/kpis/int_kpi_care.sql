{{ config(materialized="view") }}

{%- set as_of = as_of_utc() -%}
{%- set answer_days = setting_text("operation.care_answer_days") -%}
{%- set occasion_days = setting_text("operation.occasion_days") -%}
{%- set shares = {
    "channel_fit": ["fits", "preferences"],
    "content_open_rate": ["opened", "openable"],
    "conversion_rate": ["converted", "convertible"],
    "birthday_conversion": ["birthday_bought", "birthday_greeted"],
    "membership_anniversary_conversion": ["membership_bought", "membership_greeted"],
} -%}

with

periods as (
    {{ kpi_period_bits() }}
),

period_days as (
    {{ kpi_days() }}
),

day_bits as (
    select * from {{ ref("int_kpi_days") }}
),

deliveries as (
    select * from {{ ref("fct_care_deliveries") }}
),

tasks as (
    select
        task_id,
        done_at
    from {{ ref("register_follow_ups") }}
    where origin = 'careloop'
),

rules as (
    select * from {{ source("program", "rules") }}
),

preferences as (
    select
        customer_id,
        preferred_channel
    from {{ ref("int_customer_preferences") }}
    where preferred_channel_basis <> 'fallback'
),

orders as (
    select
        customer_id,
        ordered_at,
        ordered_on
    from {{ ref("fct_orders") }}
    where is_counted and ordered_at < {{ as_of }}
),

buyers as (
    select
        customer_id,
        first_ordered_on
    from {{ ref("int_kpi_activity") }}
    where first_ordered_on is not null
),

-- A message reaches a customer when it is sent, a task when a person has done it.
contacts as (
    select
        deliveries.message_id,
        deliveries.customer_id,
        deliveries.rule,
        deliveries.purpose,
        deliveries.channel,
        deliveries.kind,
        deliveries.state,
        deliveries.contact_on,
        deliveries.kind = 'task' or not deliveries.is_bounced as is_accepted,
        deliveries.is_bounced,
        deliveries.is_opened as is_opening_seen,
        deliveries.is_opened or deliveries.is_clicked as is_opened,
        deliveries.conversion,
        deliveries.counted_until,
        case when deliveries.kind = 'task' then tasks.done_at else deliveries.sent_at end
            as contacted_at,
        case
            when deliveries.occasion like 'birthday:____' then 'birthday'
            when deliveries.occasion like 'membership:____' then 'membership'
        end as anniversary
    from deliveries
    left join tasks on deliveries.message_id = tasks.task_id
),

planned as (
    select
        contacts.customer_id,
        bit_or(day_bits.in_periods) as planned_in,
        bit_or(case
            when contacts.contacted_at < {{ as_of }} and contacts.is_accepted
                then day_bits.in_periods
        end) as reached_in,
        bit_or(case when contacts.purpose = 'marketing' then day_bits.in_periods end)
            as targeted_in,
        bit_or(case
            when
                contacts.purpose = 'marketing'
                and contacts.contacted_at < {{ as_of }}
                and contacts.is_accepted
                then day_bits.in_periods
        end) as targets_reached_in
    from contacts
    inner join day_bits on contacts.contact_on = day_bits.day
    where
        contacts.state <> 'cancelled'
        and contacts.contact_on <= {{ last_day_seen(as_of) }}
    group by contacts.customer_id
),

made as (
    select
        *,
        {{ local_date("contacted_at") }} as contacted_on
    from contacts
    where contacted_at < {{ as_of }}
),

openable_channels as (
    select distinct channel
    from contacts
    where kind <> 'task' and is_opening_seen
),

greetings as (
    select
        made.message_id,
        made.customer_id,
        made.contacted_at,
        coalesce({{ window_end(
            "made.contacted_at",
            "rules.conversion_within_amount",
            "rules.conversion_within_unit",
            "rules.conversion_within_seconds"
        ) }}, {{ seconds_after(
            "made.contacted_at", "86400 * " ~ setting_text("uplift.window_days")
        ) }}) as bought_until
    from made
    left join rules on made.rule = rules.rule and rules.conversion_within is not null
    where made.anniversary is not null
),

judged_greetings as (
    select
        greetings.message_id,
        bool_or(orders.customer_id is not null) as has_bought
    from greetings
    left join orders
        on
            greetings.customer_id = orders.customer_id
            and greetings.contacted_at < orders.ordered_at
            and greetings.bought_until >= orders.ordered_at
    where greetings.bought_until < {{ as_of }}
    group by greetings.message_id
),

counted as (
    select
        made.customer_id,
        made.contacted_on,
        made.channel,
        made.anniversary,
        judged_greetings.has_bought,
        {{ one_if("made.kind <> 'task' and preferences.preferred_channel is not null") }}
            as preferences,
        {{ one_if("made.kind <> 'task' and preferences.preferred_channel = made.channel") }}
            as fits,
        {{ one_if(
            "made.kind <> 'task' and not made.is_bounced and openable_channels.channel is not null"
        ) }} as openable,
        {{ one_if(
            "made.kind <> 'task' and not made.is_bounced and made.is_opened"
            ~ " and openable_channels.channel is not null"
        ) }} as opened,
        {{ one_if("made.counted_until < " ~ as_of) }} as convertible,
        {{ one_if("made.counted_until < " ~ as_of ~ " and made.conversion = 'converted'") }}
            as converted
    from made
    left join preferences on made.customer_id = preferences.customer_id
    left join openable_channels on made.channel = openable_channels.channel
    left join judged_greetings on made.message_id = judged_greetings.message_id
),

daily as (
    select
        {%- for anniversary in ["birthday", "membership"] %}
        sum({{ one_if("anniversary = '" ~ anniversary ~ "' and has_bought is not null") }})
            as {{ anniversary }}_greeted,
        sum({{ one_if("anniversary = '" ~ anniversary ~ "' and has_bought") }})
            as {{ anniversary }}_bought,
        {%- endfor %}
        {%- for count in [
            "preferences", "fits", "openable", "opened", "convertible", "converted"
        ] %}
        sum({{ count }}) as {{ count }},
        {%- endfor %}
        customer_id,
        contacted_on
    from counted
    group by customer_id, contacted_on
),

messages as (
    select
        {%- for numerator, denominator in shares.values() %}
        sum(daily.{{ numerator }}) as {{ numerator }},
        sum(daily.{{ denominator }}) as {{ denominator }},
        {%- endfor %}
        period_days.period_type,
        period_days.period_start,
        daily.customer_id
    from daily
    inner join period_days on daily.contacted_on = period_days.day
    group by period_days.period_type, period_days.period_start, daily.customer_id
),

answers as (
    select
        response_id,
        customer_id,
        answered_at,
        {{ local_date("answered_at") }} as answered_on,
        {{ score_share() }} as share
    from {{ ref("stg_surveys") }}
    where
        kind = 'csat'
        and answered_at < {{ as_of }}
        and customer_id is not null
        and {{ score_share() }} is not null
),

cared_for as (
    select
        customer_id,
        contacted_at
    from made
    union all
    select
        customer_id,
        done_at as contacted_at
    from {{ ref("stg_follow_ups") }}
    where done_at < {{ as_of }}
),

answers_to_care as (
    select
        answers.response_id,
        answers.customer_id,
        answers.answered_on,
        answers.share
    from answers
    inner join cared_for
        on
            answers.customer_id = cared_for.customer_id
            and answers.answered_at >= cared_for.contacted_at
            and answers.answered_at <= {{ seconds_after(
                "cared_for.contacted_at", "86400 * " ~ answer_days
            ) }}
    group by answers.response_id, answers.customer_id, answers.answered_on, answers.share
),

-- Business occasions whose last day is over; 62 of them at a time are the bits of a number.
numbered_occasions as (
    select
        {{ days_after("date", "-" ~ occasion_days) }} as first_day,
        {{ days_after("date", occasion_days) }} as last_day,
        row_number() over (order by date, occasion) - 1 as number
    from {{ source("program", "occasion_days") }}
    where
        kind = 'business'
        and {{ days_after("date", occasion_days) }} < {{ as_of_date() }}
        and {{ days_after("date", occasion_days) }} >= (
            select min(periods.period_start) from periods
        )
),

occasions as (
    select
        first_day,
        last_day,
        cast(floor(number / 62) as integer) as block,
        cast(power(2, mod(number, 62)) as bigint) as bit
    from numbered_occasions
),

period_occasions as (
    select
        periods.period_type,
        periods.period_start,
        occasions.block,
        bit_or(occasions.bit) as bits
    from periods
    inner join occasions
        on periods.period_start <= occasions.last_day and periods.period_end > occasions.last_day
    group by periods.period_type, periods.period_start, occasions.block
),

-- Of which occasions customers were buyers already, by the day of their first order.
known_occasions as (
    select
        first_days.first_ordered_on,
        occasions.block,
        bit_or(occasions.bit) as bits
    from (select distinct first_ordered_on from buyers) as first_days
    inner join occasions on first_days.first_ordered_on < occasions.first_day
    group by first_days.first_ordered_on, occasions.block
),

day_numbers as (
    select {{ each_number("0", "2 * " ~ occasion_days) }} as number
),

occasion_days as (
    select
        {{ days_after("occasions.first_day", "day_numbers.number") }} as day,
        occasions.block,
        bit_or(occasions.bit) as bits
    from occasions
    cross join day_numbers
    group by {{ days_after("occasions.first_day", "day_numbers.number") }}, occasions.block
),

took_part as (
    select
        orders.customer_id,
        occasion_days.block,
        bit_or(occasion_days.bits) as bits
    from orders
    inner join occasion_days on orders.ordered_on = occasion_days.day
    group by orders.customer_id, occasion_days.block
),

invited as (
    select
        buyers.customer_id,
        known_occasions.block,
        known_occasions.bits,
        known_occasions.bits & coalesce(took_part.bits, 0) as took_part
    from buyers
    inner join known_occasions on buyers.first_ordered_on = known_occasions.first_ordered_on
    left join took_part
        on
            buyers.customer_id = took_part.customer_id
            and known_occasions.block = took_part.block
),

facts as (
    {%- for kpi, sets in {
        "care_reach_rate": ["reached_in", "planned_in"],
        "targeted_reach_rate": ["targets_reached_in", "targeted_in"],
    }.items() %}
    select
        '{{ kpi }}' as kpi,
        periods.period_type,
        periods.period_start,
        planned.customer_id,
        {{ one_if(has_bit("planned." ~ sets[0], "periods.bit")) }} as numerator,
        1 as denominator
    from planned
    cross join periods
    where {{ has_bit("planned." ~ sets[1], "periods.bit") }}
    union all
    {%- endfor %}
    {%- for kpi, counts in shares.items() %}
    select
        '{{ kpi }}' as kpi,
        period_type,
        period_start,
        customer_id,
        {{ counts[0] }} as numerator,
        {{ counts[1] }} as denominator
    from messages
    where {{ counts[1] }} > 0
    union all
    {%- endfor %}
    select
        'care_satisfaction' as kpi,
        period_days.period_type,
        period_days.period_start,
        answers_to_care.customer_id,
        {{ kpi_part("1 + 4 * answers_to_care.share") }} as numerator,
        1 as denominator
    from answers_to_care
    inner join period_days on answers_to_care.answered_on = period_days.day
    union all
    select
        'occasion_participation' as kpi,
        period_occasions.period_type,
        period_occasions.period_start,
        invited.customer_id,
        bit_count(invited.took_part & period_occasions.bits) as numerator,
        bit_count(invited.bits & period_occasions.bits) as denominator
    from invited
    inner join period_occasions on invited.block = period_occasions.block
    where (invited.bits & period_occasions.bits) <> 0
),

final as (
    select {{ kpi_columns() }}
    from facts
)

select * from final
