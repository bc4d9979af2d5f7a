"""The care program: what came up, what stopped it, what it reached and what it brought about."""

from careloop.review import charts
from careloop.review.figures import columns, has, share, total
from careloop.review.model import Chart, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.words import Words, words_of

GATES = (
    "reachable", "fresh", "consent", "suppression", "reentry", "cooldown", "quiet_hours", "caps",
)  # fmt: skip
# Verdicts of rpt_care_uplift that say something about the effect.
JUDGED = ("more", "fewer", "no_difference")
SHOWN = 12


def build(reader: Reader) -> Section | None:
    """Figures of the period by rule, gates, holdouts, uplift, offers."""
    if not has(reader, "rpt_care_program", "rpt_care_uplift"):
        return None
    say = words_of(reader, "care_program")
    rows = reader.rows(
        "from rpt_care_program where period_type = $period_type and period_start = $first_day "
        "order by planned desc, came_up desc, rule"
    )
    uplift = reader.rows(
        "from rpt_care_uplift where period = 'all' and experiment_kind in ('program', 'rule') "
        "order by experiment_kind, experiment"
    )
    if not rows and not uplift:
        return Section("care_program", say("title"), (Sentence("info", say("none")),))
    sentences = (
        *_reach(say, rows),
        *_stopped(say, reader, rows),
        *_held_out(say, rows),
        *_uplift(say, uplift),
        *_offers(say, rows),
    )
    blocks = (
        *([_rules(say, rows)] if rows else []),
        *_gates(say, rows),
        *_intervals(say, uplift),
        *([_uplift_table(say, uplift)] if uplift else []),
    )
    return Section("care_program", say("title"), sentences, blocks)


def _reach(say: Words, rows: list[Row]) -> list[Sentence]:
    messages, done = total(rows, "messages_sent"), total(rows, "tasks_done")
    if not total(rows, "planned"):
        return [Sentence("info", say("nothing_planned"))]
    values = {
        "messages": say.number(messages),
        "tasks": say.number(total(rows, "tasks")),
        "done": say.number(done),
        "rules": say.number(sum(bool(r["planned"]) for r in rows)),
    }
    found = [Sentence("info", say("sent", **values))]
    overdue = total(rows, "tasks_overdue")
    if overdue:
        found.append(Sentence("bad", say("overdue", n=say.number(overdue)), 33))
    opened, bounced = total(rows, "messages_opened"), total(rows, "messages_bounced")
    if messages:
        values = {"opened": say.share(share(opened, messages))}
        values |= {"bounced": say.share(share(bounced, messages))}
        found.append(Sentence("info", say("answers", **values)))
    return found


def _stopped(say: Words, reader: Reader, rows: list[Row]) -> list[Sentence]:
    days = max((r["days_decided"] for r in rows), default=0)
    came_up = total(rows, "came_up")
    if not days or not came_up:
        return [Sentence("info", say("not_decided"))]
    allowed = total(rows, "came_up_allowed")
    values = {
        "n": say.number(came_up),
        "days": say.number(days),
        "of": say.number((reader.until - reader.period.first_day).days),
        "allowed": say.share(share(allowed, came_up)),
    }
    found = [Sentence("info", say("came_up", **values))]
    stopped = {gate: total(rows, f"stopped_{gate}") for gate in GATES}
    gate = max(stopped, key=lambda g: stopped[g])
    if stopped[gate]:
        values = {"gate": say(f"gate_{gate}"), "x": say.share(share(stopped[gate], came_up))}
        is_most = stopped[gate] > allowed
        text = say("most_stopped", **values)
        found.append(Sentence("bad" if is_most else "info", text, 42 if is_most else 0))
    if stopped["caps"] and gate != "caps":
        values = {"n": say.number(stopped["caps"]), "x": say.share(share(stopped["caps"], came_up))}
        found.append(Sentence("info", say("caps", **values)))
    return found


def _held_out(say: Words, rows: list[Row]) -> list[Sentence]:
    withheld = total(rows, "withheld")
    if not withheld:
        return [Sentence("info", say("no_holdout"))]
    return [Sentence("info", say("held_out", n=say.number(withheld)))]


def _uplift(say: Words, uplift: list[Row]) -> list[Sentence]:
    """What is proven for the whole program, and which rules help, harm or do nothing."""
    found = []
    for row in uplift:
        if row["experiment_kind"] == "program" and row["verdict"] in JUDGED:
            found.append(Sentence(_tone(row), say(f"program_{row['verdict']}", **_effect(say, row)),
                                  50 if row["verdict"] != "no_difference" else 36))  # fmt: skip
    by_verdict = {v: [_title(say, r) for r in uplift if r["experiment_kind"] == "rule"
                      and r["verdict"] == v] for v in JUDGED}  # fmt: skip
    for verdict, names in by_verdict.items():
        if names:
            tone = {"more": "good", "fewer": "bad", "no_difference": "info"}[verdict]
            text = say(f"rules_{verdict}", list=say.listing(names[:SHOWN]), n=len(names))
            found.append(Sentence(tone, text, {"more": 44, "fewer": 48}.get(verdict, 0)))
    unsaid = sum(r["experiment_kind"] == "rule" and r["verdict"] not in JUDGED for r in uplift)
    if unsaid:
        found.append(Sentence("info", say("rules_unsaid", n=unsaid)))
    return found or [Sentence("info", say("no_uplift"))]


def _tone(row: Row) -> str:
    return {"more": "good", "fewer": "bad"}.get(row["verdict"], "info")


def _effect(say: Words, row: Row) -> dict[str, str]:
    return {
        "d": say.change(row["rate_difference"], "share"),
        "low": say.change(row["rate_difference_low"], "share"),
        "high": say.change(row["rate_difference_high"], "share"),
        "treated": say.share(row["treated_rate"]),
        "holdout": say.share(row["holdout_rate"]),
    }


def _title(say: Words, row: Row) -> str:
    return row[f"title_{say.language}"] or say("whole_program")


def _offers(say: Words, rows: list[Row]) -> list[Sentence]:
    given = total(rows, "offers_given")
    if not given:
        return []
    values = {"n": say.number(given), "used": say.number(total(rows, "offers_converted"))}
    unknown = [r for r in rows if r["offers_given"] and r["offer_cost_at_most"] is None]
    if unknown:
        names = [_title(say, r) for r in unknown]
        return [Sentence("info", say("offers_unknown", list=say.listing(names), **values))]
    cost = total(rows, "offer_cost_at_most")
    return [Sentence("info", say("offers", cost=say.short_money(cost), **values))]


def _rules(say: Words, rows: list[Row]) -> Table:
    shown = tuple(
        {
            **row,
            "rule": _title(say, row),
            "opened": share(row["messages_opened"], row["messages_sent"]),
            "conversion": share(row["converted"], row["conversions_judged"]),
            "cost": row["offer_cost_at_most"] if row["offers_given"] else None,
        }
        for row in rows
    )
    listed = columns(
        say,
        ("rule", "text"), ("came_up", "number"), ("planned", "number"), ("messages_sent", "number"),
        ("opened", "share"), ("messages_bounced", "number"), ("tasks", "number"),
        ("tasks_done", "number"), ("withheld", "number"), ("conversions_judged", "number"),
        ("conversion", "share"), ("unsubscribed", "number"), ("offers_given", "number"),
        ("offers_converted", "number"), ("cost", "money"),
    )  # fmt: skip
    kept = tuple({c.key: row[c.key] for c in listed} for row in shown)
    return Table("care-rules", say("table"), listed, kept, say("note"), short=SHOWN)


def _gates(say: Words, rows: list[Row]) -> list[Table | Chart]:
    came_up = total(rows, "came_up")
    if not came_up:
        return []
    parts = [
        ("allowed", total(rows, "came_up_allowed")),
        ("withheld", total(rows, "came_up_withheld")),
        *((gate, total(rows, f"stopped_{gate}")) for gate in GATES),
    ]
    shown = [
        {"label": say(f"gate_{name}"), "actual": share(n, came_up), "n": n}
        for name, n in parts
        if n
    ]
    read = [f"{r['label']} {say.share(r['actual'])}" for r in shown]
    about = say("gates_alt", n=say.number(came_up), list=say.listing(read))
    return [Chart("care-gates", say("gates"), charts.bars(say, shown, "share"), about)]


def _intervals(say: Words, uplift: list[Row]) -> list[Chart]:
    rows = [
        {
            "label": _title(say, r),
            "value": r["rate_difference"],
            "low": r["rate_difference_low"],
            "high": r["rate_difference_high"],
        }
        for r in uplift
        if r["verdict"] in JUDGED
        and None not in (r["rate_difference"], r["rate_difference_low"], r["rate_difference_high"])
    ]
    if not rows:
        return []
    read = [f"{r['label']} {say.change(r['value'], 'share')}" for r in rows]
    about = say("intervals_alt", list=say.listing(read))
    return [Chart("care-uplift", say("intervals"), charts.intervals(say, rows), about)]


def _uplift_table(say: Words, uplift: list[Row]) -> Table:
    rows = [
        {
            "rule": _title(say, r),
            "treated": r["treated_customers"],
            "treated_rate": r["treated_rate"],
            "holdout": r["holdout_customers"],
            "holdout_rate": r["holdout_rate"],
            "low": r["rate_difference_low"],
            "high": r["rate_difference_high"],
            "verdict": r[f"verdict_{say.language}"],
        }
        for r in uplift
    ]
    listed = columns(
        say,
        ("rule", "text"), ("treated", "number"), ("treated_rate", "share", 1),
        ("holdout", "number"), ("holdout_rate", "share", 1), ("low", "share", 1),
        ("high", "share", 1), ("verdict", "text"),
    )  # fmt: skip
    return Table("care-uplift-table", say("uplift"), listed, tuple(rows), short=SHOWN)
