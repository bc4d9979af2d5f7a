"""Cases to speak about: escalated and praised, without anything personal."""

from careloop.review.figures import columns, has
from careloop.review.model import Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of


def build(reader: Reader) -> Section | None:
    """As many of each as the pack's operation.review_cases."""
    if not has(reader, "rpt_cases_of_note"):
        return None
    say = words_of(reader, "cases")
    rows = reader.rows(
        "from rpt_cases_of_note where period_type = $period_type and period_start = $first_day "
        "order by note, place"
    )
    sentences, blocks = [], []
    for note in ("escalated", "praised"):
        mine = [row for row in rows if row["note"] == note]
        if mine:
            values = {"n": say.number(mine[0]["cases_noted"]), "m": say.number(len(mine))}
            sentences.append(Sentence("info", say(note, **values)))
            sentences += _most(say, note, mine)
            blocks.append(_table(say, note, mine))
        else:
            sentences.append(Sentence("info", say(f"none_{note}")))
    return Section("cases", say("title"), tuple(sentences), tuple(blocks))


def _most(say: Words, note: str, rows: list[Row]) -> list[Sentence]:
    """Where the shown ones come from, if most of them come from one place."""
    places = [row["touchpoint"] for row in rows]
    top = max(sorted(set(filter(None, places))), key=places.count, default=None)
    if top is None or places.count(top) * 2 <= len(rows) or len(rows) < 2:
        return []
    values = {"place": say.member("touchpoint", top), "n": places.count(top), "m": len(rows)}
    return [Sentence("info", say(f"most_{note}", **values))]


def _table(say: Words, note: str, rows: list[Row]) -> Table:
    steps = say.program.sla.escalation
    raised_to = {step.id: say.code("roles", step.to) for step in steps}
    shown = tuple(
        {
            "case": row["case_id"],
            "opened_on": row["opened_on"],
            "kind": say.code("kinds", row["kind"]),
            "category": say.code("topics", row["category"]),
            "touchpoint": say.member("touchpoint", row["touchpoint"]),
            "urgency": say.code("urgencies", row["urgency"]),
            "department": say.department(row["department"]),
            "level": raised_to.get(row["level"], row["level"]),
            "escalations": row["escalations"],
            "hours": row["hours_to_solution"],
            "resolution": say.code("resolutions", row["resolution"]),
            "confirmation": say.code("confirmations", row["confirmation"]),
            "satisfaction": row["satisfaction"],
        }
        for row in rows
    )
    kinds = [
        ("case", "text"), ("opened_on", "date"), ("kind", "text"), ("category", "text"),
        ("touchpoint", "text"), ("urgency", "text"), ("department", "text"),
    ]  # fmt: skip
    if note == "escalated":
        kinds += [("level", "text"), ("escalations", "number")]
    kinds += [("hours", "number", 1), ("resolution", "text"), ("confirmation", "text")]
    if note == "praised":
        kinds.append(("satisfaction", "share"))
    listed = columns(say, *kinds)
    kept = tuple({c.key: row[c.key] for c in listed} for row in shown)
    return Table(f"cases-{note}", say(f"table_{note}"), listed, kept, say(f"note_{note}"))
