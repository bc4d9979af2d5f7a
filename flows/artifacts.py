"""What a run shows in the Prefect UI: progress, rows, quality, segments, links."""

import time
from collections.abc import Mapping
from contextvars import copy_context
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect import runtime
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from careloop.dispatch import Summary
from careloop.escalate.operators import Told
from careloop.ingest.run import Ingested
from careloop.judge import Calibrated
from careloop.plan import Planned
from careloop.program.model import Program
from careloop.published import query, version_of
from careloop.quality.results import GateResult
from careloop.refresh import Published
from careloop.review import Period, Written, targets
from careloop.review.words import Words
from careloop.service import Round
from careloop.settings import Settings

SEGMENTS = """
    select segment, title_zh, title_en, customers,
           round(100 * actual_share, 1) as actual, round(100 * expected_share, 1) as expected
    from rpt_segment_shares order by position
"""


DECISIONS = """
    with
    stopped as (
        select rule, gate, count(*) as decisions from fct_care_decisions
        where outcome not in ('send', 'task', 'withheld') group by rule, gate
    ),
    reasons as (
        select rule, string_agg(gate || ' ' || decisions, ', ' order by decisions desc, gate) as by
        from stopped group by rule
    )
    select
        rule,
        count(*) filter (where outcome = 'send') as send,
        count(*) filter (where outcome = 'task') as task,
        count(*) filter (where outcome = 'withheld') as withheld,
        count(*) filter (where outcome = 'deferred') as later,
        count(*) filter (where outcome in ('blocked', 'expired')) as stopped,
        coalesce(any_value(reasons.by), '') as "stopped by"
    from fct_care_decisions left join reasons using (rule)
    group by rule order by send + task desc, rule
"""
SENT = ("sent", "failed", "unknown", "suppressed", "expired", "again")


def run_name() -> str:
    """The flow's name and the moment it was started for, UTC."""
    return f"{runtime.flow_run.flow_name} {runtime.flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"


class Progress:
    """One progress artifact that moves on with each step."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.id: UUID = create_progress_artifact(0.0, key="progress", description="started")

    def step(self, what: str) -> None:
        self.done += 1
        update_progress_artifact(self.id, 100.0 * min(self.done / self.total, 1), description=what)


def rows(loaded: Ingested) -> None:
    """Rows read, loaded and rejected per entity and source."""
    table: dict[tuple[str, str], dict[str, object]] = {}
    for batch in loaded.loaded:
        row = table.setdefault(
            (batch.entity, batch.source),
            {"entity": batch.entity, "source": batch.source, "files": 0, "read": 0, "loaded": 0}
            | {"replaced": 0, "rejected": 0, "waiting": 0},
        )
        counts = {
            "files": 1,
            "read": batch.rows_read,
            "loaded": batch.rows_loaded,
            "replaced": batch.rows_replaced,
            "rejected": batch.rows_rejected,
            "waiting": batch.rows_held,
        }
        for name, count in counts.items():
            row[name] = int(str(row[name])) + count
    nothing = [{"entity": "–", "note": f"nothing new; {loaded.skipped} files were known already"}]
    create_table_artifact(
        list(table.values()) or nothing, key="rows", description="# Rows per entity and source"
    )
    if loaded.refused:
        refused = "\n".join(f"- {error.what}" for error in loaded.refused)
        create_markdown_artifact(f"# Refused files\n\n{refused}", key="refused-files")


def quality(gate: GateResult, report: Path, locale: str) -> None:
    """The gate's results, failures first, and a link to the page."""
    language = "zh" if locale.startswith("zh") else "en"
    held = sum(result.success for result in gate.results)
    ordered = sorted(gate.results, key=lambda r: (r.success, r.severity != "critical", r.table))
    create_table_artifact(
        [
            {
                "result": "passed" if r.success else f"FAILED ({r.severity})",
                "failing": r.rows_failing,
                "table": r.table,
                "expectation": r.expectation[language],
            }
            for r in ordered
        ],
        key=f"quality-{gate.gate}",
        description=f"# {gate.gate.capitalize()} gate: {held} of {len(gate.results)} hold",
    )
    create_link_artifact(report.as_uri(), link_text=str(report), key=f"quality-page-{gate.gate}")


def published(settings: Settings, result: Published) -> None:
    """Customers per segment against the program's expectation, and where the marts are."""
    version = version_of(result.file)
    columns, found = query(settings, SEGMENTS, version)
    lines = [
        "# Segments",
        "",
        "| segment | | customers | actual | expected |",
        "|---|---|---:|---:|---:|",
    ]
    for row in found:
        segment = dict(zip(columns, row, strict=True))
        expected = "–" if segment["expected"] is None else f"{segment['expected']:.1f} %"
        lines.append(
            f"| {segment['title_en']} | {segment['title_zh']} | {segment['customers']:,} "
            f"| {segment['actual']:.1f} % | {expected} |"
        )
    lines += ["", f"Marts: `{result.file}`", "", f"Data quality: `{result.report}`"]
    create_markdown_artifact("\n".join(lines), key="segments", description="Segments")


def planned(settings: Settings, days: list[Planned]) -> None:
    """What was planned for each day, and the last day's decisions by rule."""
    create_table_artifact(
        [
            {
                "day": _day(day.version),
                "planned": day.planned,
                "too late": day.expired,
                "known": day.known,
                "exposures": day.exposures,
            }
            for day in days
        ]
        or [{"day": "–", "note": "everything published is planned already"}],
        key="planned",
        description="# Messages and tasks planned",
    )
    if days:
        columns, rows = query(settings, DECISIONS, days[-1].version)
        create_table_artifact(
            [dict(zip(columns, row, strict=True)) for row in rows],
            key="decisions",
            description=f"# Decisions of {_day(days[-1].version)}\n\nVersion `{days[-1].version}`",
        )


def _day(version: str) -> str:
    moment = datetime.fromisoformat(version.partition("-")[0])
    return f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


class Counter:
    """A progress artifact that follows a dispatch, at most once a second. It is told by threads
    that know nothing of the run it belongs to, so that is remembered."""

    def __init__(self) -> None:
        self.context = copy_context()
        self.id: UUID | None = None
        self.shown = 0.0

    def show(self, done: int, total: int, by_route: Mapping[str, int]) -> None:
        if done < total and time.monotonic() - self.shown < 1:
            return
        self.shown = time.monotonic()
        share = 100.0 * done / max(total, done, 1)
        text = ", ".join(f"{route} {count:,}" for route, count in sorted(by_route.items()))
        if self.id is None:
            self.id = self.context.run(
                create_progress_artifact, share, key="progress", description=text
            )
        else:
            update_progress_artifact(self.id, share, description=text)


def sent(summary: Summary) -> None:
    """What became of the messages, by channel; and channels that rest."""
    if not summary.counts and not summary.resting:
        return
    rows = [
        {"channel": route}
        | {what: counts.get(what, 0) for what in SENT}
        | {"still due": summary.left.get(route, 0)}
        for route, counts in summary.counts.items()
    ]
    create_table_artifact(rows, key="sent", description="# Messages by channel")
    if summary.resting:
        lines = [f"- {route} until {until} UTC" for route, until in summary.resting.items()]
        create_markdown_artifact(
            "# Channels that rest\n\n" + "\n".join(lines), key="resting-channels"
        )


def cases(done: Round) -> None:
    """Open clocks by state, and what the round decided; counts only."""
    rows = done.watched.clocks or [{"clock": "–", "note": "no case has a clock"}]
    create_table_artifact(
        rows, key="clocks", description=f"# Clocks as of {done.watched.as_of:%Y-%m-%d %H:%M}"
    )
    decided = [{"outcome": name, "decisions": n} for name, n in done.watched.decided.items()]
    if decided:
        create_table_artifact(decided, key="service-decisions", description="# Decisions")
    if done.loaded:
        rows_loaded = [
            {"entity": b.entity, "source": b.source, "loaded": b.rows_loaded}
            for b in done.loaded.loaded
        ]
        if rows_loaded:
            create_table_artifact(rows_loaded, key="service-rows", description="# Rows loaded")


MARKS = {"good": "✓", "bad": "✗", "info": "•"}


def headline(written: Written, period: Period, program: Program) -> None:
    """What went well and what failed, in the sentences of the page."""
    title = f"# {getattr(program.title, written.language)} {period.name}"
    lines = [f"- {MARKS[sentence.tone]} {sentence.text}" for sentence in written.headline]
    create_markdown_artifact("\n".join([title, "", *lines]), key="review-headline")


def kpis(written: Written, program: Program) -> None:
    """The targets as judged, the missed ones first."""
    say = Words("words", written.language, program)
    rows = [
        {
            "state": say.state(row["state"]),
            "KPI": targets.title(say, row),
            "period": targets.period_name(say, row),
            "value": say.value(row["value"], row["unit"]),
            "target": say.value(row["target"], row["unit"]),
            "change": say.change(row["change"], row["unit"]),
            "critical": "!" if row["is_critical"] else "",
        }
        for row in sorted(written.kpis, key=lambda row: targets.STATES.index(row["state"]))
    ]
    create_table_artifact(
        rows or [{"KPI": "–", "note": "the program has no targets"}],
        key="review-kpis",
        description="# KPI targets",
    )


def files(
    written: Written, workbook: Path, pdf: Path | None, calibrated: Calibrated | None
) -> None:
    """Links to what was written."""
    found = {"page": written.html, "workbook": workbook, "pdf": pdf}
    if calibrated:
        found["proposed-pack"] = calibrated.folder
    for name, path in found.items():
        if path:
            create_link_artifact(path.as_uri(), link_text=str(path), key=f"review-{name}")


def review_message(written: Written, period: Period, told: Told) -> str:
    """A review in one line."""
    missed = sum(row["state"] == "missed" for row in written.kpis)
    text = f"{period.name} is written: {missed} of {len(written.kpis)} targets missed"
    if told.sent:
        text += f", {told.sent} of them critical and told now"
    return text
