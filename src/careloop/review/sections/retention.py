"""Retention by month of first purchase."""

from careloop.review import charts
from careloop.review.figures import columns, difference, has, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of
from careloop.statistics.uplift import Arm, rate_difference

YEAR = 12
EARLY = 3
SHOWN = (1, 3, 6, 12)
COHORTS = 13


def build(reader: Reader) -> Section | None:
    """Cohorts of the last months, as far as seen at the end of the period."""
    if not has(reader, "rpt_retention"):
        return None
    say = words_of(reader, "retention")
    rows = reader.rows(
        "select *, month_start < $until and is_complete as is_seen from rpt_retention "
        "where month_start < $end_day order by cohort_month, months_since",
        {"until": reader.until},
    )
    if not rows:
        return Section("retention", say("title"), (Sentence("info", say("none")),))
    sentences = (*_year(say, reader, rows), *_early(say, reader, rows), *_small(say, reader, rows))
    return Section("retention", say("title"), sentences, (_chart(say, rows), _table(say, rows)))


def _year(say: Words, reader: Reader, rows: list[Row]) -> list[Sentence]:
    """Of the cohorts whose 12th month ended in the period."""

    def of(first: object, end: object) -> list[Row]:
        return [
            r
            for r in rows
            if r["months_since"] == YEAR and r["is_seen"] and first <= r["month_start"] < end
        ]

    period = reader.period
    mine = of(period.first_day, period.end_day)
    size, back = total(mine, "customers"), total(mine, "returned")
    now = share(back, size)
    if now is None:
        return [Sentence("info", say("no_year"))]
    old = of(period.previous.first_day, period.first_day)
    before = share(total(old, "returned"), total(old, "customers"))
    values = {"x": say.share(now), "n": say.number(size), "back": say.number(back)}
    change = difference(now, before)
    if change is None:
        return [Sentence("info", say("year", **values))]
    tone = "good" if change > 0 else "bad" if change < 0 else "info"
    tone = tone if size >= reader.program.operation.min_sample else "info"
    return [Sentence(tone, say("year_change", d=say.change(change, "share"), **values))]


def _early(say: Words, reader: Reader, rows: list[Row]) -> list[Sentence]:
    """Whether the youngest cohorts that had three months come back more or less than those of
    the year before them; better or worse only beyond chance (Newcombe's interval)."""
    seen = [r for r in rows if r["months_since"] == EARLY and r["is_seen"]][-COHORTS:]
    young, old = seen[-EARLY:], seen[:-EARLY]
    now = share(total(young, "returned"), total(young, "customers"))
    before = share(total(old, "returned"), total(old, "customers"))
    least = reader.program.operation.min_sample
    sizes = total(young, "customers"), total(old, "customers")
    if min(sizes) < max(least, 1):
        return []
    found = rate_difference(
        Arm(sizes[0], total(young, "returned")), Arm(sizes[1], total(old, "returned")),
        reader.program.uplift.confidence,
    )  # fmt: skip
    values = {
        "x": say.share(now),
        "y": say.share(before),
        "first": say.short_period(young[0]["cohort_month"], "month"),
        "last": say.short_period(young[-1]["cohort_month"], "month"),
    }
    tone = "good" if found.low > 0 else "bad" if found.high < 0 else "info"
    return [Sentence(tone, say("early", **values), 32 if tone != "info" else 0)]


def _small(say: Words, reader: Reader, rows: list[Row]) -> list[Sentence]:
    least = reader.program.operation.min_sample
    sizes = {r["cohort_month"]: r["customers"] for r in rows[-COHORTS * (YEAR + 1) :]}
    small = sum(size < least for size in sizes.values())
    return [Sentence("info", say("small", n=small, least=least))] if small else []


def _last(rows: list[Row]) -> list[Row]:
    months = sorted({r["cohort_month"] for r in rows})[-COHORTS:]
    return [r for r in rows if r["cohort_month"] in months and r["months_since"] <= YEAR]


def _chart(say: Words, rows: list[Row]) -> Chart:
    shown = _last(rows)
    cells = [
        {
            "cohort": say.short_period(r["cohort_month"], "month"),
            "month": r["months_since"],
            "value": r["retention"],
            "customers": r["customers"],
            "is_complete": r["is_seen"],
        }
        for r in shown
    ]
    months = {r["cohort_month"] for r in shown}
    about = say(
        "chart_alt", n=len(months), first=f"{min(months):%Y-%m}", last=f"{max(months):%Y-%m}"
    )
    return Chart("retention", say("chart"), charts.cohorts(say, cells), about, say("chart_note"))


def _table(say: Words, rows: list[Row]) -> Table:
    listed: dict[object, Row] = {}
    for row in _last(rows):
        one = listed.setdefault(
            row["cohort_month"],
            {
                "cohort": say.short_period(row["cohort_month"], "month"),
                "customers": row["customers"],
                **dict.fromkeys(f"m{n}" for n in SHOWN),
            },
        )
        if row["months_since"] in SHOWN and row["is_seen"]:
            one[f"m{row['months_since']}"] = row["returned_share"]
    kinds = [(f"m{n}", "share") for n in SHOWN]
    shown = columns(say, ("cohort", "text"), ("customers", "number"), *kinds)
    return Table("retention-table", say("table"), shown, tuple(listed.values()), say("note"))
