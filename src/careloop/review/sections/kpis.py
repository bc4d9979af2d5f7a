"""All targets with what was reached, how it came to be, and figures without a target."""

from careloop.review import charts
from careloop.review.model import Chart, Column, Section, Sentence, Table, Tone
from careloop.review.reader import Reader, Row
from careloop.review.targets import (
    STATES,
    foremost,
    free,
    history,
    judged,
    period_name,
    period_text,
    point_name,
    title,
    whole,
)
from careloop.review.words import Words, words_of

SIGNS = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
MOST_CHARTS = 12
SHOWN_OWNERS = 15
# A critical target missed is told first, then others missed; what is met fills the other half.
_RANKS = {"missed": (75, 95), "met": (62, 72), "on_track": (45, 50)}
_TONES: dict[str, Tone] = {"missed": "bad", "met": "good", "on_track": "info"}


def build(reader: Reader) -> Section:
    """The section."""
    say = words_of(reader, "kpis")
    rows = judged(reader)
    past = history(reader)
    targets = sorted(whole(rows), key=_first)
    blocks: list[Table | Chart] = []
    if targets:
        blocks.append(_targets(say, targets, past))
        blocks += _trends(say, [r for r in targets if r["state"] != "not_enough_data"], past)
    if len(rows) > len(targets):
        blocks.append(_owners(say, [row for row in rows if row["slice_kind"] == "owner"]))
    others = _free(say, reader)
    if others.rows:
        blocks.append(others)
    sentences = _sentences(say, targets, reader.program.operation.min_sample)
    return Section("kpis", say("title"), sentences, tuple(blocks))


def _first(row: Row) -> tuple[int, bool, int, str]:
    return STATES.index(row["state"]), not row["is_critical"], row["target_no"], row["slice"]


def count(rows: list[Row]) -> dict[str, int]:
    """How many targets are in each state."""
    return {state: sum(row["state"] == state for row in rows) for state in STATES}


def _sentences(say: Words, rows: list[Row], least: int) -> tuple[Sentence, ...]:
    if not rows:
        return (Sentence("info", say("none")),)
    counts = Sentence("info", say("counts", n=len(rows), **count(rows)))
    known = [row for row in rows if row["state"] != "not_enough_data"]
    # The headline has no room for the same figure twice.
    first = {
        id(row)
        for state in _RANKS
        for row in foremost([row for row in known if row["state"] == state])
    }
    told = [_sentence(say, row, ranked=id(row) in first) for row in known]
    return (counts, *told, *_unknown(say, rows, least))


def _unknown(say: Words, rows: list[Row], least: int) -> list[Sentence]:
    """The targets that can't be judged, by what they lack; critical ones are worth knowing."""
    why: dict[str, list[Row]] = {}
    for row in rows:
        if row["state"] == "not_enough_data":
            why.setdefault(_lacks(row, least), []).append(row)
    return [
        Sentence(
            "info",
            say(key, n=len(found), kpis=say.listing([_named(say, row, key) for row in found])),
        )
        for key, found in why.items()
    ]


def _lacks(row: Row, least: int) -> str:
    if not row["denominator"]:
        return "no_cases"
    if row["target"] is None:
        return "no_target"
    return "too_few" if row["denominator"] < least and not row["is_state"] else "no_baseline"


def _named(say: Words, row: Row, lacks: str) -> str:
    name = title(say, row)
    return f"{name} ({say.number(row['denominator'])})" if lacks == "too_few" else name


def _sentence(say: Words, row: Row, *, ranked: bool) -> Sentence:
    state = row["state"]
    usual, critical = _RANKS[state]
    rank = critical if row["is_critical"] else usual
    if row["attainment"] is not None:
        # The further off the target, the more it matters.
        rank += min(4.0, abs(1 - row["attainment"]) * 4)
    is_ahead = row["due_on"] is not None and row["due_on"] > row["period_end"]
    text = say(
        "behind" if state == "missed" and is_ahead else state,
        kpi=title(say, row),
        period=period_text(say, row),
        value=say.value(row["value"], row["unit"]),
        target=target_words(say, row),
        expected=say.value(row["expected_now"], row["unit"]),
        due=say.date(row["due_on"]) if row["due_on"] else "",
        change=_change(say, row),
    )
    return Sentence(_TONES[state], text, round(rank, 3) if ranked else 0, is_for_headline=True)


def target_words(say: Words, row: Row) -> str:
    """at least 90.0%."""
    return say(row["direction"], x=say.value(row["target"], row["unit"]))


def _change(say: Words, row: Row) -> str:
    if row["change"] is None:
        return ""
    text = say.change(row["change"], row["unit"])
    return say("changed", change=text) if text[0] in "+−" else say("unchanged")


def _targets(say: Words, rows: list[Row], past: dict[str, list[Row]]) -> Table:
    columns = (
        Column("kpi", say("kpi")),
        Column("period", say("period")),
        Column("value", say("value"), "by_unit"),
        Column("target", say("target"), "by_unit"),
        Column("state", say("state"), "state"),
        Column("attainment", say("attainment"), "share", under="state"),
        Column("change", say("change"), "change"),
        Column("previous_value", say("previous"), "by_unit", under="change"),
        Column("trend", say("trend"), "trend"),
        Column("baseline", say("baseline"), "by_unit", under="target"),
        Column("benchmark", say("benchmark"), "by_unit", under="value"),
    )
    lines = []
    for row in rows:
        line = _line(say, row)
        line["trend"] = [point["value"] for point in past.get(row["target_id"], [])]
        lines.append(line)
    note = say("targets_note") + _sources(say, rows)
    return Table("kpis", say("targets"), columns, tuple(lines), note)


def _sources(say: Words, rows: list[Row]) -> str:
    """Where the benchmarks are from."""
    names = sorted({row["benchmark_source"] for row in rows if row["benchmark_source"]})
    return say("sources", names=say.listing(names)) if names else ""


def _line(say: Words, row: Row) -> Row:
    """A target as a row of the table."""
    baseline = row["baseline_period_start"]
    return {
        **{
            key: row[key]
            for key in (
                "unit", "value", "target", "state", "previous_value", "change",
                "baseline", "benchmark",
            )
        },
        "attainment": row["attainment"] if row["state"] != "not_enough_data" else None,
        "kpi": title(say, row),
        "kpi_note": say("critical") if row["is_critical"] else "",
        "period": _period(say, row),
        "period_note": _period_note(say, row),
        "value_note": _sample(say, row),
        "target_sign": SIGNS[row["direction"]],
        "target_note": say("by", day=say.date(row["due_on"])) if row["due_on"] else "",
        "change_note": _better(say, row),
        "change_tone": _tone(row),
        "baseline_note": say.short_period(baseline, row["baseline_period_type"] or "month")
        if baseline
        else "",
        "id": row["target_id"],
    }  # fmt: skip


def _period_note(say: Words, row: Row) -> str:
    notes = [] if row["is_over"] else [say("running_note")]
    if row["periods_judged"] > 1:
        notes.append(say("held", held=row["periods_held"], judged=row["periods_judged"]))
    return "\n".join(notes)


def _period(say: Words, row: Row) -> str:
    if row["period_type"] != "week":
        return period_name(say, row)
    return say("week_of", day=say.date(row["period_start"]))


def _sample(say: Words, row: Row) -> str:
    if not row["denominator"]:
        return ""
    sample = say.number(row["denominator"])
    if row["low"] is None:
        return say("sample", sample=sample)
    return say("interval", sample=sample, low=say.share(row["low"]), high=say.share(row["high"]))


def _tone(row: Row) -> str:
    if not row["change"]:
        return ""
    return "good" if (row["change"] > 0) == (row["better"] == "higher") else "bad"


def _better(say: Words, row: Row) -> str:
    tone = _tone(row)
    return say("better" if tone == "good" else "worse") if tone else ""


def _trends(say: Words, rows: list[Row], past: dict[str, list[Row]]) -> list[Chart]:
    """A chart of what was reached, once, however many targets it has."""
    found: dict[tuple[str, ...], Chart] = {}
    for row in rows:
        points = past.get(row["target_id"], [])
        key = row["kpi"], row["period_type"], row["slice_kind"], row["slice"]
        is_known = sum(point["value"] is not None for point in points) > 1
        if is_known and key not in found and len(found) < MOST_CHARTS:
            found[key] = _trend(say, row, points)
    return list(found.values())


def _trend(say: Words, row: Row, points: list[Row]) -> Chart:
    unit = row["unit"]
    lines = [
        {
            "period": point_name(say, {**row, **point}),
            "value": point["value"],
            "target": point["target"],
            "low": point["low"],
            "high": point["high"],
            "is_over": point["is_over"],
        }
        for point in points
    ]
    known = [line for line in lines if line["value"] is not None]
    target = say.value(row["target"], unit)
    alt = say(
        "chart_alt",
        kpi=title(say, row),
        first=known[0]["period"],
        first_value=say.value(known[0]["value"], unit),
        last=known[-1]["period"],
        last_value=say.value(known[-1]["value"], unit),
        target=say("alt_target", target=target) if row["target"] is not None else "",
    )
    has_running = not all(line["is_over"] for line in known)
    note = say("chart_note" if has_running else "chart_note_over", state=say.state(row["state"]))
    if row["period_type"] == "year":
        note += say("rolling_note")
    return Chart(
        f"trend-{row['target_id']}",
        title(say, row),
        charts.trend(say, lines, unit, benchmark=row["benchmark"]),
        alt,
        note,
        is_half=True,
    )


def _owners(say: Words, rows: list[Row]) -> Table:
    columns = (
        Column("owner", say("owner")),
        Column("kpi", say("kpi")),
        Column("period", say("period")),
        Column("value", say("value"), "by_unit"),
        Column("target", say("target"), "by_unit"),
        Column("attainment", say("attainment"), "share"),
        Column("state", say("state"), "state"),
        Column("change", say("change"), "change"),
    )
    far = sorted(
        rows,
        key=lambda row: (
            STATES.index(row["state"]),
            row["attainment"] if row["attainment"] is not None else 9,
            row["target_no"],
            row["slice"],
        ),
    )
    lines = tuple(
        {
            **_line(say, row),
            "owner": say.member("owner", row["slice"]),
            "kpi": say.kpi(row["kpi"]),
            "kpi_note": "",
        }
        for row in far
    )
    return Table(
        "kpis_by_owner", say("owners"), columns, lines, say("owners_note"), short=SHOWN_OWNERS
    )


def _free(say: Words, reader: Reader) -> Table:
    columns = (
        Column("kpi", say("kpi")),
        Column("period", say("period")),
        Column("value", say("value"), "by_unit"),
        Column("change", say("change"), "change"),
        Column("previous_value", say("previous"), "by_unit", under="change"),
        Column("trend", say("trend"), "trend"),
        Column("benchmark", say("benchmark"), "by_unit"),
    )
    found = [points for points in free(reader).values() if points[-1]["value"] is not None]
    found.sort(key=lambda points: (not points[-1]["is_watched"], points[-1]["kpi_no"]))
    lines = []
    for points in found:
        last = points[-1]
        lines.append(
            {
                **{
                    key: last[key]
                    for key in ("unit", "value", "previous_value", "change", "benchmark")
                },
                "kpi": say.kpi(last["kpi"]),
                "period": _period(say, last),
                "period_note": "" if last["is_over"] else say("running_note"),
                "value_note": _sample(say, last),
                "change_note": _better(say, last),
                "change_tone": _tone(last),
                "trend": [point["value"] for point in points],
            }
        )
    watched = sum(points[-1]["is_watched"] for points in found)
    note = say("free_note") + _sources(say, [points[-1] for points in found])
    return Table("kpis_free", say("free"), columns, tuple(lines), note, short=watched)
