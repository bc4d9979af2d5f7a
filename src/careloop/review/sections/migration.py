"""Who is in which segment and stage: opening + new + entered − left − erased = closing."""

from typing import Any

from careloop.review import charts
from careloop.review.figures import columns, difference, has, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

ERASED = "(erased)"
PARTS = ("opening", "new_customers", "entered", "departed", "erased", "left_data", "closing")
# A gap of less than this share of all customers is not worth a sentence of its own.
WORTH = 0.02


def build(reader: Reader) -> Section | None:
    """Segments first, then stages; actual against expected shares at the end of the period."""
    if not has(reader, "rpt_segment_migration", "rpt_segment_flows"):
        return None
    say = words_of(reader, "migration")
    rows = reader.rows(
        "from rpt_segment_migration where period_type = $period_type and period_start = $first_day "
        "order by dimension, value"
    )
    if not rows:
        return Section("migration", say("title"), (Sentence("info", say("none")),))
    sentences: list[Sentence] = []
    blocks: list[Table | Chart] = []
    for dimension in ("segment", "stage"):
        mine = _ordered(reader, rows, dimension)
        flows = reader.rows(
            "from rpt_segment_flows where period_type = $period_type and period_start = $first_day "
            "and dimension = $dimension",
            {"dimension": dimension},
        )
        if dimension == "segment":
            sentences += [*_balance(say, mine), *_shares(say, mine)]
            blocks += [b for b in (_bars(say, mine),) if b]
        if total(mine, "opening"):
            least = reader.program.operation.min_sample
            sentences += _moves(say, mine, flows, dimension, least)
            blocks.append(_matrix(say, mine, flows, dimension))
        blocks.append(_table(say, mine, dimension))
    return Section("migration", say("title"), tuple(sentences), tuple(blocks))


def _ordered(reader: Reader, rows: list[Row], dimension: str) -> list[Row]:
    """Those of a dimension in the pack's order; what is gone from the pack, then the erased."""
    listed = reader.program.segments if dimension == "segment" else reader.program.stages
    place = {item.id: i for i, item in enumerate(listed)}
    mine = [row for row in rows if row["dimension"] == dimension]
    return sorted(
        (r for r in mine if r["value"] in place or r["opening"] or r["closing"]),
        key=lambda r: (r["value"] == ERASED, place.get(r["value"], len(place)), r["value"]),
    )


def _balance(say: Words, rows: list[Row]) -> list[Sentence]:
    people = [row for row in rows if row["value"] != ERASED]
    sums = {key: total(people, key) for key in PARTS}
    values = {key: say.number(value) for key, value in sums.items()}
    if not sums["opening"]:
        return [Sentence("info", say("first", **values))]
    return [Sentence("info", say("balance", **values))]


def _shares(say: Words, rows: list[Row]) -> list[Sentence]:
    gaps = [
        (difference(row["actual_share"], row["expected_share"]), row)
        for row in rows
        if row["expected_share"] is not None and row["actual_share"] is not None
    ]
    if not gaps:
        return []
    gap, row = max(gaps, key=lambda pair: (abs(pair[0] or 0), pair[1]["value"]))
    if abs(gap or 0) < WORTH:
        return [Sentence("good", say("as_expected", gap=say.share(WORTH, 0)))]
    values = {
        "segment": say.member("segment", row["value"]),
        "actual": say.share(row["actual_share"]),
        "expected": say.share(row["expected_share"]),
    }
    return [Sentence("info", say("more" if gap > 0 else "fewer", **values), 30 + 40 * abs(gap))]


def _moves(
    say: Words, rows: list[Row], flows: list[Row], dimension: str, least: int
) -> list[Sentence]:
    """The best and the worst known movements: the most frequent of each direction. Better is
    what stands for more customers worth keeping: only the pack's first segment is known to."""
    inner = [f for f in flows if not f["from_value"].startswith("(") and f["to_value"][0] != "("]
    if not inner:
        return [Sentence("info", say(f"no_moves_{dimension}"))]
    top = max(inner, key=lambda f: (f["customers"], f["from_value"], f["to_value"]))
    values = {
        "from": say.member(dimension, top["from_value"]),
        "to": say.member(dimension, top["to_value"]),
        "n": say.number(top["customers"]),
        "all": say.number(total(inner, "customers")),
    }
    found = [Sentence("info", say(f"top_move_{dimension}", **values))]
    first = rows[0]
    if dimension == "segment" and first["opening"]:
        net = first["entered"] - first["departed"]
        values = {
            "segment": say.member(dimension, first["value"]),
            "in": say.number(first["entered"]),
            "out": say.number(first["departed"]),
        }
        tone = "good" if net > 0 else "bad" if net < 0 else "info"
        is_worth = net and first["entered"] + first["departed"] >= least
        found.append(Sentence(tone, say(f"first_{tone}", **values), 40 if is_worth else 0))
    return found


def _name(say: Words, dimension: str, value: str) -> str:
    return say(value.strip("()")) if value.startswith("(") else say.member(dimension, value)


def _bars(say: Words, rows: list[Row]) -> Chart | None:
    shown = [
        {
            "label": say.member("segment", row["value"]),
            "actual": row["actual_share"],
            "expected": row["expected_share"],
        }
        for row in rows
        if row["actual_share"] is not None
    ]
    if not shown:
        return None
    read = [
        say("bar", name=r["label"], x=say.share(r["actual"]), y=say.share(r["expected"]))
        for r in shown
    ]
    spec = charts.bars(say, shown, "share")
    return Chart("segment-shares", say("shares"), spec, say("shares_alt", list=say.listing(read)))


def _matrix(say: Words, rows: list[Row], flows: list[Row], dimension: str) -> Chart:
    moved = {(f["from_value"], f["to_value"]): f["customers"] for f in flows}
    people = [row for row in rows if row["value"] != ERASED]
    names = [row["value"] for row in people]
    out = [to for to in (ERASED, "(gone)") if any(key[1] == to for key in moved)]
    cells: list[dict[str, Any]] = []
    for start in (*names, "(entered)"):
        for end in (*names, *out):
            stayed = next((_stayed(r) for r in people if start == end == r["value"]), None)
            cells.append(
                {
                    "from": _name(say, dimension, start),
                    "to": _name(say, dimension, end),
                    "customers": moved.get((start, end), 0) if stayed is None else stayed,
                }
            )
    about = say("matrix_alt", n=say.number(sum(map(_stayed, people))),
                m=say.number(sum(moved.values())))  # fmt: skip
    title = say(f"matrix_{dimension}")
    return Chart(f"migration-{dimension}", title, charts.migration(say, cells), about)


def _stayed(row: Row) -> int:
    return row["opening"] - row["departed"] - row["erased"] - row["left_data"]


def _table(say: Words, rows: list[Row], dimension: str) -> Table:
    shown = [
        {
            "value": _name(say, dimension, row["value"]),
            **{part: row[part] for part in PARTS},
            "actual_share": row["actual_share"],
            "expected_share": row["expected_share"],
            "growth": share(row["net"], row["opening"]),
        }
        for row in rows
    ]
    kinds = [(part, "number") for part in PARTS]
    shares = [("actual_share", "share"), ("growth", "share")]
    if dimension == "segment":
        shares.insert(1, ("expected_share", "share"))
    listed = columns(say, ("value", "text"), *kinds, *shares)
    title = say(f"table_{dimension}")
    kept = tuple({column.key: row[column.key] for column in listed} for row in shown)
    return Table(f"migration-{dimension}-table", title, listed, kept, say("note"))
