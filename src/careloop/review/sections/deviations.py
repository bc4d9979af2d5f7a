"""For missed targets: which segments, regions, owners or touchpoints the change came from.

The effects are those of rpt_kpi_deviations (E. M. Kitagawa, Components of a difference between
two rates, JASA 1955): rate and mix effects of the members of a dimension add up to the change.
"""

from typing import Any

from careloop.review import charts
from careloop.review.model import Chart, Column, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.sections.kpis import _first
from careloop.review.targets import judged, period_text, title, whole
from careloop.review.words import Words, words_of

MOST_KPIS = 6
MOST_BARS = 7
_UNKNOWN = "(unknown)"

_EFFECTS = """
select *
from rpt_kpi_deviations
where kpi = $kpi and period_type = $every and period_start = $start
order by dimension, abs(total_effect) desc, member
"""


def build(reader: Reader) -> Section:
    """The section; its parts are the missed KPIs, critical ones first."""
    say = words_of(reader, "deviations")
    missed = [row for row in sorted(whole(judged(reader)), key=_first) if row["state"] == "missed"]
    if not missed:
        return Section("deviations", say("title"), (Sentence("good", say("none")),))
    once = {_key(row): row for row in reversed(missed)}
    kpis = [row for row in missed if once[_key(row)] is row]
    parts = [_part(reader, say, row) for row in kpis]
    sentences = [Sentence("info", say("about"))]
    if len(kpis) > MOST_KPIS:
        sentences.append(Sentence("info", say("more", n=len(kpis) - MOST_KPIS)))
    table = _members(say, [line for _, lines in parts for line in lines])
    return Section(
        "deviations",
        say("title"),
        tuple(sentences),
        (table,) if table.rows else (),
        tuple(section for section, _ in parts[:MOST_KPIS]),
    )


def _key(row: Row) -> tuple[Any, ...]:
    return row["kpi"], *_period(row)


def _period(row: Row) -> tuple[str, Any]:
    """Period the change is explained for; of a week its month."""
    if row["period_type"] == "week":
        return "month", row["period_start"].replace(day=1)
    return row["period_type"], row["period_start"]


def _part(reader: Reader, say: Words, row: Row) -> tuple[Section, list[Row]]:
    """A KPI's section, and all its effects for the workbook."""
    every, start = _period(row)
    effects = reader.rows(_EFFECTS, {"kpi": row["kpi"], "every": every, "start": start})
    name = say.kpi(row["kpi"])
    place = f"deviation-{row['target_id']}"
    known = [effect for effect in effects if effect["total_previous_value"] is not None]
    if not known:
        sentence = Sentence("info", say("unexplained", kpi=name))
        return Section(place, title(say, row), (sentence,)), []
    by_dimension: dict[str, list[Row]] = {}
    for effect in known:
        by_dimension.setdefault(effect["dimension"], []).append(effect)
    telling = {key: rows for key, rows in by_dimension.items() if _tells(rows)}
    best = max(telling, key=lambda key: (_largest(telling[key]), key), default=None)
    sentences = [Sentence("info", _lead(say, row, known[0]))]
    if row["slice_kind"] != "all":
        part = say.member(row["slice_kind"], row["slice"])
        sentences.append(Sentence("info", say("overall", part=part)))
    blocks: list[Table | Chart] = []
    if best:
        sentences += _most(say, row, best, telling[best])
        blocks.append(_chart(say, row, best, telling[best], place))
    blocks.append(_summary(say, row, by_dimension, place))
    lines = [{**effect, "unit": row["unit"], "title": name} for effect in known]
    return Section(place, title(say, row), tuple(sentences), tuple(blocks)), lines


def _tells(rows: list[Row]) -> bool:
    """Whether a dimension says where a change came from: it has parts that are known."""
    return len(rows) > 1 and any(row["member"] != _UNKNOWN for row in rows)


def _largest(rows: list[Row]) -> float:
    """The largest effect of a known part."""
    return max(abs(row["total_effect"]) for row in rows if row["member"] != _UNKNOWN)


def _lead(say: Words, row: Row, effect: Row) -> str:
    unit = row["unit"]
    change = say.change(effect["total_value"] - effect["total_previous_value"], unit)
    values = {
        "kpi": say.kpi(row["kpi"]),
        "now": say.value(effect["total_value"], unit),
        "before": say.value(effect["total_previous_value"], unit),
        "change": change,
        "period": period_text(say, {**row, **_as_period(row)}),
    }
    return say("fell" if change[0] in "+−" else "same", **values)


def _as_period(row: Row) -> Row:
    every, start = _period(row)
    return {"period_type": every, "period_start": start}


def _most(say: Words, row: Row, dimension: str, rows: list[Row]) -> list[Sentence]:
    """Who counts most, and who most against it."""
    unit = row["unit"]
    change = rows[0]["total_value"] - rows[0]["total_previous_value"]
    known = [effect for effect in rows if effect["member"] != _UNKNOWN]
    first = max(known, key=lambda e: (abs(e["total_effect"]), e["member"]))
    share = first["total_effect"] / change if change else None
    told = share is not None and 0 < share <= 1
    sentences = [
        Sentence(
            "info",
            say(
                "most",
                dimension=say.dimension(dimension),
                member=say.member(dimension, first["member"]),
                effect=_effect(say, first["total_effect"], unit),
                share=say("share", share=say.share(share, 0)) if told else "",
                rate=_effect(say, first["rate_effect"], unit),
                mix=_effect(say, first["mix_effect"], unit),
            ),
        )
    ]
    against = [e for e in known if e["total_effect"] * first["total_effect"] < 0]
    if against:
        other = max(against, key=lambda e: (abs(e["total_effect"]), e["member"]))
        text = say(
            "against",
            member=say.member(dimension, other["member"]),
            effect=_effect(say, other["total_effect"], unit),
        )
        sentences.append(Sentence("info", text))
    return sentences


def _effect(say: Words, value: float, unit: str) -> str:
    return say.change(value, unit, charts.EFFECT_DIGITS.get(unit))


def _chart(say: Words, row: Row, dimension: str, rows: list[Row], place: str) -> Chart:
    unit = row["unit"]
    lines = [
        {
            "label": say.member(dimension, effect["member"]),
            "rate": effect["rate_effect"],
            "mix": effect["mix_effect"],
            "total": effect["total_effect"],
        }
        for effect in rows[:MOST_BARS]
    ]
    rest = rows[MOST_BARS:]
    if rest:
        lines.append(
            {
                "label": say("others", n=len(rest)),
                "rate": sum(effect["rate_effect"] for effect in rest),
                "mix": sum(effect["mix_effect"] for effect in rest),
                "total": sum(effect["total_effect"] for effect in rest),
            }
        )
    total = _effect(say, sum(line["total"] for line in lines), unit)
    parts = [
        say("alt_part", member=line["label"], effect=_effect(say, line["total"], unit))
        for line in lines
    ]
    name = say.dimension(dimension)
    return Chart(
        f"{place}-chart",
        say("chart", dimension=name),
        charts.effects(say, lines, unit),
        say(
            "chart_alt",
            kpi=say.kpi(row["kpi"]),
            dimension=name,
            parts=say("comma").join(parts),
            total=total,
        ),
        say("chart_note", unit=say("in_points" if unit == "share" else "in_unit"), total=total)
        + (say("less") if row["better"] == "lower" else ""),
    )


def _summary(say: Words, row: Row, found: dict[str, list[Row]], place: str) -> Table:
    columns = (
        Column("dimension", say("dimension")),
        Column("member", say("member")),
        Column("effect", say("effect"), "change", 2),
        Column("rate", say("rate"), "change", 2),
        Column("mix", say("mix"), "change", 2),
        Column("total", say("total"), "change", 2),
    )
    lines = tuple(
        {
            "unit": row["unit"],
            "dimension": _upper(say.dimension(dimension)),
            "member": say.member(dimension, first["member"]),
            "effect": first["total_effect"],
            "rate": sum(effect["rate_effect"] for effect in rows),
            "mix": sum(effect["mix_effect"] for effect in rows),
            "total": sum(effect["total_effect"] for effect in rows),
        }
        for dimension, rows in found.items()
        for first in [effect for effect in rows if effect["member"] != _UNKNOWN][:1]
    )
    return Table(f"{place}-summary", say("summary"), columns, lines)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _members(say: Words, lines: list[Row]) -> Table:
    """Every effect; in the workbook only."""
    columns = (
        Column("title", say("kpi")),
        Column("dimension_name", say("dimension")),
        Column("part", say("part")),
        Column("previous_value", say("previous_value"), "by_unit"),
        Column("value", say("value"), "by_unit"),
        Column("denominator", say("denominator"), "number"),
        Column("rate_effect", say("rate_effect"), "change", 2),
        Column("mix_effect", say("mix_effect"), "change", 2),
        Column("total_effect", say("total_effect"), "change", 2),
    )
    keys = [column.key for column in columns if column.key not in ("dimension_name", "part")]
    rows = tuple(
        {
            **{key: line[key] for key in (*keys, "unit")},
            "dimension_name": _upper(say.dimension(line["dimension"])),
            "part": say.member(line["dimension"], line["member"]),
        }
        for line in lines
    )
    return Table("deviations", say("members"), columns, rows, short=0)
