"""Decisions proposed for the next period, made by rule, each with owner, day and evidence."""

from dataclasses import dataclass
from datetime import date, timedelta

from careloop.program.codes import duration_text
from careloop.program.kpis import KPIS
from careloop.review.figures import columns, has, share
from careloop.review.model import Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.targets import foremost, judged, period_text, title, whole
from careloop.review.words import Words, words_of

SHOWN = 12
SERVICE_MODELS = {"fct_tickets", "fct_ticket_clocks", "stg_tickets", "fct_pain_point_findings",
                  "fct_pain_point_cases"}  # fmt: skip
DATA_KPIS = {"profile_completeness", "tag_completeness", "segment_coverage"}


@dataclass(frozen=True)
class Decision:
    """rank: the larger, the earlier. due_on: by when. owner: a role or department, in words."""

    rank: float
    what: str
    why: str
    owner: str
    due_on: date


def build(reader: Reader) -> Section | None:
    """From missed targets, findings, pain points, uplift, promises and churn cases."""
    say = words_of(reader, "decisions")
    made: list[Decision] = []
    for rule in (_targets, _findings, _pain_points, _uplift, _clocks, _churn, _quality):
        made += rule(say, reader)
    made.sort(key=lambda d: (-d.rank, d.due_on))
    if not made:
        return Section("decisions", say("title"), (Sentence("good", say("none")),))
    first = [d.what for d in made[:3]]
    values = {"n": len(made), "list": say.listing(first)}
    sentences = (Sentence("info", say("some", **values)), Sentence("info", say("proposed")))
    return Section("decisions", say("title"), sentences, (_table(say, made),))


def _next_end(reader: Reader) -> date:
    """The last day of the period after the one judged."""
    return reader.period.next.end_day - timedelta(days=1)


def _owner_of(say: Words, kpi: str) -> str:
    if kpi in DATA_KPIS:
        return say("owner_data")
    of_service = SERVICE_MODELS & set(KPIS[kpi].models) if kpi in KPIS else set()
    return say("owner_service" if of_service else "owner_care")


def _targets(say: Words, reader: Reader) -> list[Decision]:
    """The targets the table of KPIs shows as missed, the critical ones first; owners' slices are
    the tables' matter."""
    if not has(reader, "rpt_kpi_targets"):
        return []
    made = []
    for row in foremost([row for row in whole(judged(reader)) if row["state"] == "missed"]):
        unit = row["unit"]
        values = {
            "kpi": title(say, row),
            "x": say.value(row["value"], unit),
            "target": say.value(row["target"], unit),
            "period": period_text(say, row),
        }
        due = row["due_on"] if row["due_on"] and row["due_on"] > reader.as_of.date() else None
        rank = 95 if row["is_critical"] else 82
        what, why = say("do_target", **values), say("why_target", **values)
        made.append(Decision(rank, what, why, _owner_of(say, row["kpi"]), due or _next_end(reader)))
    return made


def _findings(say: Words, reader: Reader) -> list[Decision]:
    if not has(reader, "fct_kpi_findings"):
        return []
    rows = reader.rows(
        "from fct_kpi_findings where found_on <= $today and left_on is null "
        "order by due_on, rule, found_on",
        {"today": reader.as_of.date()},
    )
    titles = {
        rule.id: getattr(rule.title, say.language)
        for level in reader.program.findings
        for rule in level.rules
    }
    made = []
    for row in rows:
        unit = KPIS[row["kpi"]].unit if row["kpi"] in KPIS else "share"
        values = {
            "finding": titles.get(row["rule"], row["rule"]),
            "kpi": say.kpi(row["kpi"]) if row["kpi"] in KPIS else row["kpi"],
            "x": say.value(row["value_found"], unit),
            "limit": say.value(row["limit_value"], unit),
            "day": say.date(row["found_on"]),
        }
        rank = {"high": 80, "medium": 60, "low": 40}.get(row["level"], 40)
        what, why = say("do_finding", **values), say("why_finding", **values)
        made.append(Decision(rank, what, why, _owner_of(say, row["kpi"]), row["due_on"]))
    return made


def _pain_points(say: Words, reader: Reader) -> list[Decision]:
    """Findings on pain points that are not solved, one decision each with its nearest day."""
    if not has(reader, "fct_pain_point_findings", "rpt_pain_points"):
        return []
    rows = reader.rows(
        """
        with open_ones as (
            select pain_point, touchpoint, min(due_on) as due_on, min(found_on) as found_on,
                arg_min(level, due_on) as level
            from fct_pain_point_findings
            where left_on is null and level in ('high', 'medium')
            group by pain_point, touchpoint
        )
        select open_ones.*, points.title_en, points.title_zh, points.department, points.cases,
            points.customers_touched
        from open_ones
        inner join rpt_pain_points as points
            on open_ones.pain_point = points.pain_point
            and open_ones.touchpoint = points.touchpoint
            and points.period_type = 'rolling'
        order by points.place
        """
    )
    made = []
    for row in rows:
        values = {
            "point": reader.title(row),
            "place": say.member("touchpoint", row["touchpoint"]),
            "n": say.number(row["cases"]),
            "customers": say.number(row["customers_touched"]),
            "day": say.date(row["found_on"]),
        }
        is_late = row["due_on"] <= reader.as_of.date()
        rank = (75 if row["level"] == "high" else 55) + 5 * is_late
        why = say("why_point_late" if is_late else "why_point", **values)
        due = _next_end(reader) if is_late else row["due_on"]
        owner = say.department(row["department"])
        made.append(Decision(rank, say("do_point", **values), why, owner, due))
    return made


def _uplift(say: Words, reader: Reader) -> list[Decision]:
    """Rules that do harm are stopped, those without an effect are changed or tested longer."""
    if not has(reader, "rpt_care_uplift"):
        return []
    rows = reader.rows(
        "from rpt_care_uplift where experiment_kind = 'rule' and period = 'all' "
        "and verdict in ('fewer', 'no_difference') order by experiment"
    )
    made = []
    for row in rows:
        values = {
            "rule": row[f"title_{say.language}"] or row["experiment"],
            "treated": say.share(row["treated_rate"]),
            "holdout": say.share(row["holdout_rate"]),
            "n": say.number(row["treated_customers"]),
            "m": say.number(row["holdout_customers"]),
        }
        key = row["verdict"]
        rank = 78 if key == "fewer" else 50
        what, why = say(f"do_{key}", **values), say("why_uplift", **values)
        made.append(Decision(rank, what, why, say("owner_care"), _next_end(reader)))
    return made


def _clocks(say: Words, reader: Reader) -> list[Decision]:
    """Promises never kept are staffed or changed; those always kept can be made better."""
    if not has(reader, "fct_ticket_clocks"):
        return []
    rows = reader.rows(
        """
        select clock, max(clock_en) as title_en, max(clock_zh) as title_zh, max(target) as target,
            count(*) filter (where state = 'met') as met,
            count(*) filter (where state = 'breached') as breached,
            max(target_share) as target_share,
            mode(department order by department) filter (where state = 'breached') as department
        from fct_ticket_clocks
        where opened_at >= $starts_at and opened_at < $ends_at
        group by clock
        order by clock
        """
    )
    made = []
    for row in rows:
        judged = row["met"] + row["breached"]
        kept = share(row["met"], judged)
        if judged < reader.program.operation.min_sample or kept is None:
            continue
        key = "never" if not row["met"] else "always" if not row["breached"] else None
        if key is None and kept < (row["target_share"] or 0):
            key = "short"
        if key is None:
            continue
        values = {
            "clock": reader.title(row),
            "target": duration_text(row["target"], say.language),
            "x": say.share(kept),
            "wanted": say.share(row["target_share"]),
            "n": say.number(judged),
        }
        rank = {"never": 85, "short": 58, "always": 20}[key]
        owner = say.department(row["department"]) or say("owner_service")
        what, why = say(f"do_clock_{key}", **values), say("why_clock", **values)
        made.append(Decision(rank, what, why, owner, _next_end(reader)))
    return made


def _churn(say: Words, reader: Reader) -> list[Decision]:
    if not has(reader, "rpt_churn_cases"):
        return []
    row = reader.rows(
        "select sum(high_value_opened) as opened, sum(high_value_contacted) as contacted, "
        "sum(high_value_closing) as closing from rpt_churn_cases "
        "where period_type = $period_type and period_start = $first_day"
    )[0]
    missed = (row["opened"] or 0) - (row["contacted"] or 0)
    if missed <= 0:
        return []
    values = {"n": say.number(missed), "m": say.number(row["opened"])}
    values["open"] = say.number(row["closing"])
    what, why = say("do_churn", **values), say("why_churn", **values)
    return [Decision(72, what, why, say("owner_managers"), _next_end(reader))]


def _quality(say: Words, reader: Reader) -> list[Decision]:
    if not has(reader, "rpt_data_quality"):
        return []
    rows: list[Row] = reader.rows(
        "select count(*) as n from rpt_data_quality where not is_success and severity = 'critical'"
    )
    if not rows[0]["n"]:
        return []
    values = {"n": rows[0]["n"]}
    what, why = say("do_quality", **values), say("why_quality", **values)
    return [Decision(90, what, why, say("owner_data"), reader.period.end_day)]


def _table(say: Words, made: list[Decision]) -> Table:
    rows = tuple(
        {"no": i, "what": d.what, "why": d.why, "owner": d.owner, "due_on": d.due_on}
        for i, d in enumerate(made, 1)
    )
    listed = columns(
        say, ("no", "number"), ("what", "text"), ("why", "text"), ("owner", "text"),
        ("due_on", "date"),
    )  # fmt: skip
    return Table("decisions", say("table"), listed, rows, say("note"), short=SHOWN)
