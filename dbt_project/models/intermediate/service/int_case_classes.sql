{%- set as_of = as_of_utc() -%}

with

cases as (
    select * from {{ ref("int_cases") }}
),

tickets as (
    select
        ticket_id,
        description
    from {{ source("raw", "tickets") }}
    where opened_at <= {{ as_of }}
),

surveys as (
    select
        response_id,
        ticket_id,
        comment,
        answered_at,
        customer_id,
        coalesce(asked_at, answered_at) as began_at,
        coalesce(order_id, '') as order_id
    from {{ source("raw", "surveys") }}
    where answered_at <= {{ as_of }}
),

-- What was said about a ticket, or in the answers that were asked for together.
ticket_comments as (
    select
        ticket_id,
        {{ text_list("comment", "\n", "answered_at, response_id") }} as comments
    from surveys
    where comment is not null and ticket_id is not null
    group by ticket_id
),

survey_comments as (
    select
        customer_id,
        began_at,
        order_id,
        {{ text_list("comment", "\n", "answered_at, response_id") }} as comments
    from surveys
    where comment is not null and ticket_id is null and customer_id is not null
    group by customer_id, began_at, order_id
),

low_scores as (
    select
        surveys.response_id,
        coalesce(survey_comments.comments, surveys.comment) as comments
    from surveys
    left join survey_comments
        on
            surveys.customer_id = survey_comments.customer_id
            and surveys.began_at = survey_comments.began_at
            and surveys.order_id = survey_comments.order_id
    where surveys.ticket_id is null
),

-- Nothing of this leaves the private warehouse, and not even this query.
written as (
    select
        cases.case_id,
        cases.category,
        cases.touchpoint,
        cases.department,
        concat_ws(
            '\n', tickets.description, ticket_comments.comments, low_scores.comments
        ) as words,
        {{ pain_point_of_category("cases.category") }} as category_position
    from cases
    left join tickets on cases.ticket_id = tickets.ticket_id
    left join ticket_comments on cases.ticket_id = ticket_comments.ticket_id
    left join low_scores on cases.response_id = low_scores.response_id
),

placed as (
    select
        *,
        case when category_position is null then {{ pain_point_of_text("words") }} end
            as text_position
    from written
),

searched as (
    select
        case_id,
        category,
        touchpoint,
        department,
        category_position,
        text_position,
        {{ pain_point_places("text_position", "words") }} as places
    from placed
),

found_places as (
    select distinct
        text_position,
        places
    from searched
    where text_position is not null
),

found_words as (
    select
        text_position,
        places,
        {{ pain_point_words("text_position", "places") }} as found
    from found_places
),

evidenced as (
    select
        searched.case_id,
        searched.category,
        searched.touchpoint,
        searched.department,
        searched.category_position,
        searched.text_position,
        found_words.found
    from searched
    left join found_words
        on
            searched.text_position = found_words.text_position
            and searched.places = found_words.places
),

rules as (
    select * from {{ source("program", "pain_point_rules") }}
),

final as (
    select
        evidenced.case_id,
        rules.id as pain_point,
        rules.class,
        coalesce(rules.touchpoint, evidenced.touchpoint, '(unknown)') as touchpoint,
        case
            when evidenced.category_position is not null then 'category'
            when evidenced.text_position is not null then 'keyword'
        end as matched_by,
        case
            when evidenced.category_position is not null then evidenced.category
            else evidenced.found
        end as evidence,
        coalesce(rules.is_core, false) as is_core,
        coalesce(
            rules.department,
            evidenced.department,
            {{ setting("pain_points.department_default") }}
        ) as department
    from evidenced
    left join rules
        on coalesce(evidenced.category_position, evidenced.text_position) = rules.position
)

select * from final
