"""Churn: cases of alert, who was contacted, saved and lost."""

from careloop.review import charts
from careloop.review.figures import columns, has, reasons_of, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

PARTS = ("opening", "opened", "saved", "lost", "eased", "gone", "closing")
ENDS = ("saved", "eased", "lost", "gone", "closing")


def build(reader: Reader) -> Section | None:
    """The balance of the cases of the period by their highest level."""
    if not has(reader, "rpt_churn_cases"):
        return None
    say = words_of(reader, "churn")
    rows = reader.rows(
        "from rpt_churn_cases where period_type = $period_type and period_start = $first_day "
        "order by level_no desc nulls last, level"
    )
    if not rows or not total(rows, "opening") + total(rows, "opened"):
        return Section("churn", say("title"), (Sentence("info", say("none")),))
    sentences = (
        *_ends(say, rows, reader.program.operation.min_sample),
        *_contacted(say, rows),
        *_high_value(say, rows),
        *_model(say, reader),
    )
    return Section("churn", say("title"), sentences, (_chart(say, rows), _table(say, rows)))


def _ends(say: Words, rows: list[Row], least: int) -> list[Sentence]:
    sums = {key: total(rows, key) for key in PARTS}
    values = {key: say.number(value) for key, value in sums.items()}
    found = [Sentence("info", say("balance", **values))]
    ended = sums["saved"] + sums["lost"]
    if ended:
        values["x"] = say.share(share(sums["saved"], ended))
        tone = "good" if sums["saved"] > sums["lost"] else "bad"
        found.append(Sentence(tone, say("saved", **values), 43 if ended >= least else 0))
    return found


def _contacted(say: Words, rows: list[Row]) -> list[Sentence]:
    opened, contacted = total(rows, "opened"), total(rows, "contacted")
    if not opened:
        return []
    values = {"n": say.number(opened), "m": say.number(contacted)}
    values["x"] = say.share(share(contacted, opened))
    low = contacted < opened / 2
    return [Sentence("bad" if low else "good", say("contacted", **values), 41 if low else 0)]


def _high_value(say: Words, rows: list[Row]) -> list[Sentence]:
    opened = total(rows, "high_value_opened")
    if not opened and not total(rows, "high_value_closing"):
        return [Sentence("info", say("no_high_value"))]
    names = ("opened", "contacted", "saved", "lost", "closing")
    values = {name: say.number(total(rows, f"high_value_{name}")) for name in names}
    missed = total(rows, "high_value_contacted") < opened
    return [Sentence("bad" if missed else "info", say("high_value", **values), 47 * missed)]


def _model(say: Words, reader: Reader) -> list[Sentence]:
    if not has(reader, "fct_churn_model_runs"):
        return []
    runs = reader.rows(
        "from fct_churn_model_runs where as_of_on <= $end_day "
        "order by as_of desc, churn_model_run desc limit 1"
    )
    if not runs:
        return []
    if runs[0]["is_used"]:
        values = {"day": say.date(runs[0]["as_of_on"]), "auc": say.number(runs[0]["auc"], 2)}
        return [Sentence("info", say("model_used", **values))]
    return [Sentence("info", say("model_not_used", reasons=reasons_of(say, runs[0])))]


def _level(say: Words, level: str) -> str:
    return say(f"level_{level}") if level in ("low", "medium", "high") else level


def _chart(say: Words, rows: list[Row]) -> Chart:
    shown = [
        {"label": _level(say, row["level"]), "part": say(f"end_{end}"), "value": row[end]}
        for row in rows
        for end in ENDS
        if total(rows, end)
    ]
    read = [f"{say(f'end_{end}')} {say.number(total(rows, end))}" for end in ENDS]
    about = say("chart_alt", list=say.listing(read))
    return Chart("churn-cases", say("chart"), charts.stacked(say, shown), about)


def _table(say: Words, rows: list[Row]) -> Table:
    keys = (*PARTS[:2], "contacted", *PARTS[2:], "high_value_opened", "high_value_contacted",
            "high_value_saved", "high_value_lost", "high_value_closing")  # fmt: skip
    shown = tuple(
        {"level": _level(say, row["level"]), **{key: row[key] for key in keys}} for row in rows
    )
    listed = columns(say, ("level", "text"), *((key, "number") for key in keys))
    return Table("churn-table", say("table"), listed, shown, say("note"))
