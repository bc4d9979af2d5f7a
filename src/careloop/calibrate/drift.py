"""How the shares of segments and stages have shifted, and who belongs where.

Population stability index: sum over the values of (a − e) · ln(a / e), of shares a now and e
before. An empty value counts as half a customer.

SOURCE: N. Siddiqi, Credit Risk Scorecards (2006), chapter 10; B. Yurdakul and J. Naranjo,
Statistical properties of the population stability index, Journal of Risk Model Validation 14
(2020), for why it is compared with a limit.
"""

from collections.abc import Mapping
from datetime import date
from math import log

from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Column, Finding, Words
from careloop.calibrate.say import Percent, say

QUARTERS = 4

# A change found on the first day of a quarter was decided from what came before it.
_STANDINGS = """
select to_value as value, count(*) as customers
from (
    select customer_id, to_value
    from fct_customer_changes
    where dimension = $dimension and as_of <= $at
    qualify row_number() over (partition by customer_id order by as_of desc) = 1
)
where to_value is not null
group by to_value
"""


def stability_index(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Population stability index of two sets of counts or shares. Half of the smallest positive
    unit, 1 of counts, stands for what is empty."""
    values = sorted({*now, *before})
    a, e = ({v: counts.get(v, 0) or 0.5 for v in values} for counts in (now, before))
    total_a, total_e = sum(a.values()), sum(e.values())
    return sum(
        (a[v] / total_a - e[v] / total_e) * log((a[v] / total_a) / (e[v] / total_e)) for v in values
    )


def counts_at(marts: Marts, dimension: str, day: date) -> dict[str, int]:
    """Customers in each value when a local day began, as far as it was recorded."""
    rows = marts.rows(_STANDINGS, {"dimension": dimension, "at": marts.moment(day)})
    return {row["value"]: row["customers"] for row in rows}


def drift(marts: Marts) -> tuple[float | None, list[Finding]]:
    """The index of the segments against the period before (None: unknown), and the tables."""
    known: dict[str, float | None] = {}
    findings = []
    for dimension, rules in (
        ("segment", marts.program.segments),
        ("stage", marts.program.stages),
    ):
        now = counts_at(marts, dimension, marts.until)
        past: list[tuple[str, dict[str, int]]] = []
        span = marts.period
        for _ in range(QUARTERS):
            counts = counts_at(marts, dimension, span.first_day)
            if counts:
                past.append((span.previous.name, counts))
            span = span.previous
        known[dimension] = stability_index(now, past[0][1]) if past and now else None
        if not now:
            told = say("drift_unknown", name=say(f"name_{dimension}"))
            findings.append(Finding(f"segments.drift_{dimension}", "segments", told))
        else:
            titles = {r.id: Words(r.title.en, r.title.zh) for r in rules}
            expected = {r.id: getattr(r, "expected_share", None) for r in rules}
            findings.append(_finding(marts, dimension, titles, expected, now, past))
    return known["segment"], findings


def _finding(
    marts: Marts,
    dimension: str,
    titles: dict[str, Words],
    expected: dict[str, float | None],
    now: dict[str, int],
    past: list[tuple[str, dict[str, int]]],
) -> Finding:
    order = [*titles, *sorted({v for _, counts in past for v in counts} - set(titles))]
    total = sum(now.values())
    columns = [Column("value", say(f"name_{dimension}"))]
    columns += [
        Column(name, Words(f"end of {name}", f"{name} 末"), "share", 1) for name, _ in past[::-1]
    ]
    columns.append(Column("now", say("column_now", day=marts.until), "share", 1))
    if any(expected.values()):
        columns.append(Column("expected", say("column_expected"), "share", 1))
    rows = []
    for value in order:
        row = {"value": titles.get(value, Words(value, value)), "now": now.get(value, 0) / total}
        row |= {name: c.get(value, 0) / sum(c.values()) for name, c in past}
        rows.append(row | {"expected": expected.get(value)})
    limit = marts.program.calibration.max_drift
    if not past:
        text, tone = say("drift_unknown", name=say(f"name_{dimension}")), "info"
    else:
        index = stability_index(now, past[0][1])
        key = "drift_large" if index > limit else "drift_small"
        tone = "bad" if index > limit else "good"
        moved = max(order, key=lambda v: abs(_gap(v, now, past[0][1])))
        text = say(
            key,
            name=say(f"name_{dimension}"),
            index=round(index, 3),
            limit=limit,
            since=past[0][0],
            value=titles.get(moved, Words(moved, moved)),
            before=Percent(past[0][1].get(moved, 0) / sum(past[0][1].values())),
            now=Percent(now.get(moved, 0) / total),
        )
    return Finding(
        f"segments.drift_{dimension}",
        "segments",
        text,
        tone,
        say("drift_title", name=say(f"name_{dimension}")),
        tuple(columns),
        tuple(rows),
    )


def _gap(value: str, now: dict[str, int], before: dict[str, int]) -> float:
    gap = now.get(value, 0) / sum(now.values()) - before.get(value, 0) / sum(before.values())
    return round(gap, 9)
