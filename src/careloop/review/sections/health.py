"""Health: scores by segment and component, against the end of the period before."""

from datetime import date

from careloop.review import charts
from careloop.review.figures import columns, difference, has
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

AXES = 3
TOTAL = "(total)"


def build(reader: Reader) -> Section | None:
    """The last record up to the end of the period, against the last up to its beginning."""
    if not has(reader, "rpt_health_history"):
        return None
    say = words_of(reader, "health")
    end = _recorded(reader, "$first_day", "$end_day")
    before = _recorded(reader, "$previous_first_day", "$first_day")
    if end is None:
        return Section("health", say("title"), (Sentence("info", say("none")),))
    rows = _scores(reader, end, before)
    sentences = [*_overall(say, rows, end, before), *_segments(say, rows)]
    blocks = (_table(say, reader, rows), *_radars(say, reader, rows))
    return Section("health", say("title"), tuple(sentences), blocks)


def _recorded(reader: Reader, after: str, until: str) -> date | None:
    """A run at the midnight that ends a period sees all of it, and nothing later."""
    sql = (
        "select max(recorded_on) as day from rpt_health_history "
        f"where recorded_on > {after} and recorded_on <= {until}"
    )
    return reader.rows(sql)[0]["day"]


def _scores(reader: Reader, end: date, before: date | None) -> list[Row]:
    """One row per segment and component of the pack, in the pack's order, (all) first."""
    found = {
        (row["recorded_on"], row["segment"], row["component"]): row
        for row in reader.rows(
            "from rpt_health_history where recorded_on in ($end, $before)",
            {"end": end, "before": before},
        )
    }
    components = [c.id for c in reader.program.health.components]
    rows = []
    for segment in ("(all)", *(s.id for s in reader.program.segments)):
        for component in (TOTAL, *components):
            now = found.get((end, segment, component), {})
            old = found.get((before, segment, component), {})
            rows.append(
                {
                    "segment": segment,
                    "component": component,
                    "value": now.get("average_score"),
                    "previous": old.get("average_score"),
                    "known": now.get("customers_known", 0),
                    "change": difference(now.get("average_score"), old.get("average_score")),
                }
            )
    return rows


def _overall(say: Words, rows: list[Row], end: date, before: date | None) -> list[Sentence]:
    row = next(r for r in rows if r["segment"] == "(all)" and r["component"] == TOTAL)
    if row["value"] is None:
        return [Sentence("info", say("unknown_score"))]
    values = {"x": say.number(row["value"], 1), "day": end, "n": say.number(row["known"])}
    if row["change"] is None:
        return [Sentence("info", say("first", **values))]
    key = "rose" if row["change"] > 0 else "fell" if row["change"] < 0 else "same"
    is_much = abs(row["change"]) >= 1
    tone = {"rose": "good", "fell": "bad"}[key] if is_much else "info"
    values |= {"d": say.number(abs(row["change"]), 1), "before": before}
    rank = 35 + min(20, 4 * abs(row["change"])) if is_much else 0
    return [Sentence(tone, say(key, **values), rank)]


def _segments(say: Words, rows: list[Row]) -> list[Sentence]:
    """The segment in the worst health, and the component that fell most anywhere."""
    found = []
    totals = [
        r
        for r in rows
        if r["component"] == TOTAL and r["segment"] != "(all)" and r["value"] is not None
    ]
    if len(totals) > 1:
        low = min(totals, key=lambda r: r["value"])
        high = max(totals, key=lambda r: r["value"])
        values = {"low": say.member("segment", low["segment"]), "x": say.number(low["value"], 1)}
        values |= {"high": say.member("segment", high["segment"])}
        values |= {"y": say.number(high["value"], 1)}
        found.append(Sentence("info", say("lowest", **values)))
    parts = [r for r in rows if r["component"] != TOTAL and (r["change"] or 0) < 0]
    if parts:
        worst = min(parts, key=lambda r: r["change"])
        values = {"segment": say.member("segment", worst["segment"])}
        values |= {"component": _component(say, worst["component"])}
        values |= {"x": say.number(worst["previous"], 1), "y": say.number(worst["value"], 1)}
        key = "part_fell_all" if worst["segment"] == "(all)" else "part_fell"
        found.append(Sentence("bad", say(key, **values)))
    return found


def _component(say: Words, name: str) -> str:
    if name == TOTAL:
        return say("total")
    titles = {c.id: getattr(c.title, say.language) for c in say.program.health.components}
    return titles[name]


def _table(say: Words, reader: Reader, rows: list[Row]) -> Table:
    bands = {}
    if has(reader, "rpt_health"):
        sql = "from rpt_health where component = '(total)'"
        bands = {row["segment"]: row for row in reader.rows(sql)}
    shown = [
        {
            "segment": say.member("segment", row["segment"]),
            "component": _component(say, row["component"]),
            "known": row["known"],
            "previous": row["previous"],
            "value": row["value"],
            "change": row["change"],
            "red": bands.get(row["segment"], {}).get("red_share")
            if row["component"] == TOTAL
            else None,
        }
        for row in sorted(rows, key=lambda r: r["component"] != TOTAL)
    ]
    listed = columns(
        say,
        ("segment", "text"), ("component", "text"), ("known", "number"), ("previous", "score", 1),
        ("value", "score", 1), ("change", "score", 1), ("red", "share"),
    )  # fmt: skip
    totals = sum(row["component"] == TOTAL for row in rows)
    return Table("health", say("table"), listed, tuple(shown), say("note"), short=totals)


def _radars(say: Words, reader: Reader, rows: list[Row]) -> list[Chart]:
    made = []
    for segment in ("(all)", *(s.id for s in reader.program.segments)):
        mine = [r for r in rows if r["segment"] == segment and r["component"] != TOTAL]
        known = [r for r in mine if r["value"] is not None]
        if len(known) < AXES:
            continue
        axes = [
            {
                "axis": _component(say, r["component"]),
                "value": r["value"],
                "previous": r["previous"],
            }
            for r in known
        ]
        name = say("everyone") if segment == "(all)" else say.member("segment", segment)
        read = [f"{a['axis']} {say.number(a['value'])}" for a in axes]
        about = say("radar_alt", segment=name, list=say.listing(read))
        slug = "all" if segment == "(all)" else segment
        made.append(Chart(f"health-{slug}", name, charts.radar(say, axes), about, is_half=True))
    return made
