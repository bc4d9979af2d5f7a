-- depends_on: {{ ref("int_care_contacts") }}
{%- set caps = care_caps() -%}
{%- set exempt = setting_list("caps.exempt_purposes") %}

with {% if caps %}recursive{% endif %}

gates as (
    select * from {{ ref("int_care_gates") }}
    where gate is null
),

rules as (
    select * from {{ source("program", "rules") }}
),

competing as (
    select
        gates.decision_key,
        gates.customer_id,
        gates.came_up_on,
        rules.priority,
        coalesce(gates.purpose in ({{ exempt }}), false) as is_cap_exempt,
        gates.channel,
        gates.purpose,
        rules.cap_group
    from gates
    inner join rules on gates.rule = rules.rule
),

{% if caps %}

contacts as (
    select * from {{ ref("int_care_contacts") }}
    where is_contact and not coalesce(is_cap_exempt, false)
),

counted as (
    select
        customer_id
        {%- for cap in caps %},
        count(*) filter (
            where contact_on > {{ cap_before(cap, as_of_date()) }}
            and {{ cap_counts(cap, "contacts") }}
        ) as used_{{ cap["position"] }}
        {%- endfor %}
    from contacts
    group by customer_id
),

asked as (
    select
        competing.decision_key,
        competing.customer_id,
        competing.priority,
        competing.came_up_on
        {%- for cap in caps %},
        {{ cap_counts(cap, "competing") }} as counts_{{ cap["position"] }},
        coalesce(counted.used_{{ cap["position"] }}, 0) as used_{{ cap["position"] }}
        {%- endfor %}
    from competing
    left join counted on competing.customer_id = counted.customer_id
    where not competing.is_cap_exempt
),

-- What finds a cap full already takes no part; of the others each customer's first goes.
open_to as (
    select * from asked
    where true
        {%- for cap in caps %}
        and not (counts_{{ cap["position"] }} and used_{{ cap["position"] }} >= {{ cap["most"] }})
        {%- endfor %}
),

several as (
    select customer_id
    from open_to
    group by customer_id
    having count(*) > 1
),

lined_up as (
    select
        open_to.*,
        row_number() over (
            order by
                open_to.customer_id asc,
                open_to.priority desc,
                open_to.came_up_on asc,
                open_to.decision_key asc
        ) as place
    from open_to
    inner join several on open_to.customer_id = several.customer_id
),

line as (
    select
        lined_up.*,
        place = min(place) over (partition by customer_id) as is_first
    from lined_up
),

-- From one to the next: what was accepted before uses up its caps, what was refused uses none.
walk as (
    select
        place,
        decision_key,
        true as is_accepted
        {%- for cap in caps %},
        used_{{ cap["position"] }} + case when counts_{{ cap["position"] }} then 1 else 0 end
            as used_{{ cap["position"] }}
        {%- endfor %}
    from line
    where is_first
    union all
    select
        place,
        decision_key,
        is_accepted
        {%- for cap in caps %},
        used_{{ cap["position"] }}
        + case when is_accepted and counts_{{ cap["position"] }} then 1 else 0 end
            as used_{{ cap["position"] }}
        {%- endfor %}
    from (
        select
            line.place,
            line.decision_key
            {%- for cap in caps %},
            line.counts_{{ cap["position"] }},
            walk.used_{{ cap["position"] }}
            {%- endfor %},
            true
            {%- for cap in caps %}
            and not (
                line.counts_{{ cap["position"] }}
                and walk.used_{{ cap["position"] }} >= {{ cap["most"] }}
            )
            {%- endfor %} as is_accepted
        from walk
        inner join line on walk.place + 1 = line.place
        where not line.is_first
    ) as tried
),

judged as (
    select
        asked.*,
        open_to.decision_key is not null and coalesce(walk.is_accepted, true) as is_accepted
    from asked
    left join open_to on asked.decision_key = open_to.decision_key
    left join walk on asked.decision_key = walk.decision_key
),

crowded as (
    select customer_id
    from judged
    group by customer_id
    having count(*) > 1
),

-- What each finds used: the ledger's contacts and what goes before it today.
found as (
    select
        judged.decision_key,
        judged.customer_id,
        judged.is_accepted
        {%- for cap in caps %},
        judged.counts_{{ cap["position"] }},
        judged.used_{{ cap["position"] }} + coalesce(sum(
            case when judged.is_accepted and judged.counts_{{ cap["position"] }} then 1 else 0 end
        ) over (
            partition by judged.customer_id
            order by judged.priority desc, judged.came_up_on asc, judged.decision_key asc
            rows between unbounded preceding and 1 preceding
        ), 0) as used_{{ cap["position"] }}
        {%- endfor %}
    from judged
    inner join crowded on judged.customer_id = crowded.customer_id
    union all
    select
        judged.decision_key,
        judged.customer_id,
        judged.is_accepted
        {%- for cap in caps %},
        judged.counts_{{ cap["position"] }},
        judged.used_{{ cap["position"] }}
        {%- endfor %}
    from judged
    left join crowded on judged.customer_id = crowded.customer_id
    where crowded.customer_id is null
),

refused as (
    select * from found
    where not is_accepted
),

-- A cap has room again when the contact that fills it has left its window.
contacts_now as (
    select
        customer_id,
        contact_on
        {%- for cap in caps %},
        {{ cap_counts(cap, "contacts") }} as counts_{{ cap["position"] }}
        {%- endfor %}
    from contacts
    where contact_on > {{ earliest_cap_day(caps) }}
    union all
    select
        customer_id,
        {{ as_of_date() }} as contact_on
        {%- for cap in caps %},
        counts_{{ cap["position"] }}
        {%- endfor %}
    from found
    where is_accepted
),

releases as (
    {% for cap in caps %}
    select
        decision_key,
        {{ cap_release(cap, "contact_on") }} as free_on
    from (
        select
            refused.decision_key,
            contacts_now.contact_on,
            row_number() over (
                partition by refused.decision_key order by contacts_now.contact_on desc
            ) as place
        from refused
        inner join contacts_now on refused.customer_id = contacts_now.customer_id
        where
            refused.counts_{{ cap["position"] }}
            and contacts_now.counts_{{ cap["position"] }}
            and contacts_now.contact_on > {{ cap_before(cap, as_of_date()) }}
    ) as filling_{{ cap["position"] }}
    where place = {{ cap["most"] }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

eligible as (
    select
        decision_key,
        max(free_on) as eligible_on
    from releases
    group by decision_key
),

final as (
    select
        competing.decision_key,
        competing.is_cap_exempt,
        coalesce(found.is_accepted, true) as is_accepted,
        case
            when found.is_accepted = false
                then greatest(eligible.eligible_on, {{ days_after(as_of_date(), 1) }})
        end as eligible_on,
        case when found.is_accepted = false then substr(
            ''
            {%- for cap in caps %}
            || case
                when found.counts_{{ cap["position"] }}
                and found.used_{{ cap["position"] }} >= {{ cap["most"] }}
                    then {{ text_literal("; " ~ cap["id"] ~ ": ") }}
                        || cast(found.used_{{ cap["position"] }} as varchar)
                        || {{ text_literal(" of at most " ~ cap["most"] ~ " in " ~ cap["per"]) }}
                else ''
            end
            {%- endfor %}, 3
        ) end as full_caps,
        '{' || coalesce(substr(
            ''
            {%- for cap in caps %}
            || case
                when found.counts_{{ cap["position"] }}
                    then {{ text_literal(', "' ~ cap["id"] ~ '": {"used": ') }}
                        || cast(found.used_{{ cap["position"] }} as varchar)
                        || {{ text_literal(', "most": ' ~ cap["most"] ~ ', "per": "' ~ cap["per"] ~ '"}') }}
                else ''
            end
            {%- endfor %}, 3
        ), '') || '}' as caps_json
    from competing
    left join found on competing.decision_key = found.decision_key
    left join eligible on competing.decision_key = eligible.decision_key
)

{% else %}

final as (
    select
        decision_key,
        is_cap_exempt,
        true as is_accepted,
        cast(null as date) as eligible_on,
        cast(null as varchar) as full_caps,
        '{}' as caps_json
    from competing
)

{% endif %}

select * from final
