"""Two sets of decisions of one day, compared."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from careloop.rule_diff.decide import attach
from careloop.warehouse import Row, rows_of

CHANGES = ("gained", "lost", "moved", "displaced")

# A decision goes out if it is sent or becomes a task. `displaced` is lost to a cap, because others
# go first now; `moved` goes out in both, but otherwise.
_COMPARED = """
create temp table compared as
with
old as (select *, outcome in ('send', 'task') as goes from before.fct_care_decisions),
new as (select *, outcome in ('send', 'task') as goes from after.fct_care_decisions)
select
    coalesce(new.decision_key, old.decision_key) as decision_key,
    coalesce(new.customer_id, old.customer_id) as customer_id,
    coalesce(new.rule, old.rule) as rule,
    coalesce(new.segment, old.segment) as segment,
    case
        when new.goes and not coalesce(old.goes, false) then 'gained'
        when old.goes and new.gate = 'caps' then 'displaced'
        when old.goes and not coalesce(new.goes, false) then 'lost'
        when old.goes and new.goes and (
            old.channel is distinct from new.channel
            or old.kind is distinct from new.kind
            or old.offer is distinct from new.offer
            or old.template is distinct from new.template
            or old.owner_role is distinct from new.owner_role
            or old.not_before is distinct from new.not_before
        ) then 'moved'
    end as change,
    old.outcome as outcome_before,
    new.outcome as outcome_after,
    case when old.goes then old.channel || coalesce(' ' || old.offer, '') end as before_by,
    case when new.goes then new.channel || coalesce(' ' || new.offer, '') end as after_by,
    new.gate,
    new.gate_reason as reason
from old full join new using (decision_key)
"""
_COUNTS = """
select rule, segment, change, count(*) as decisions, count(distinct customer_id) as customers
from compared where change is not null
group by all order by rule, segment, change
"""
_EXAMPLES = """
select rule, change, customer_id, segment, before_by, after_by, gate, reason
from compared where change is not null
qualify row_number() over (partition by rule, change order by md5(decision_key)) <= ?
order by rule, change, md5(decision_key)
"""
_TOTALS = """
select
    count(before_by) as before,
    count(after_by) as after,
    count(distinct customer_id) filter (where before_by is not null) as customers_before,
    count(distinct customer_id) filter (where after_by is not null) as customers_after
from compared
"""


@dataclass
class Difference:
    """counts: rule, segment, change, decisions, customers. examples: up to ten per rule and
    change, drawn by a hash. totals: what goes out before and after, and to how many."""

    counts: list[Row]
    examples: list[Row]
    totals: dict[str, int]


def compare(before: Path, after: Path, examples: int = 10) -> Difference:
    """The difference of the decisions in two files, grain and order as in `Difference`."""
    with duckdb.connect() as con:
        attach(con, before, after)
        con.execute(_COMPARED)
        return Difference(
            rows_of(con, _COUNTS), rows_of(con, _EXAMPLES, [examples]), rows_of(con, _TOTALS)[0]
        )
