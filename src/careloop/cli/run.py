"""`careloop run`, `ingest` and `backfill`: the refresh without an orchestrator."""

import time
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from careloop.care import plan_missed_day, take_in_receipts
from careloop.cli.options import AsOf, Home, ProgramName, Sources
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.cli.summary import print_decisions, print_next, print_segments
from careloop.clock import now, parse_as_of, start_of_day
from careloop.errors import SettingsError
from careloop.home import hold
from careloop.program.model import Program
from careloop.published import missed_days
from careloop.refresh import Refresh, build_all, program_of
from careloop.settings import Settings, load_settings


def register(app: typer.Typer) -> None:
    app.command("run")(run)
    app.command("backfill")(backfill)


class Steps:
    """Times the steps of a run and shows their progress on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.seconds: dict[str, float] = {}
        self._out = console()
        self._out.stderr = True

    def __call__(self, name: str, work: Any) -> Any:
        self.say(f"[bold]{name}[/]")
        start = time.perf_counter()
        result = work()
        self.seconds[name] = round(time.perf_counter() - start, 2)
        return result

    def say(self, message: str) -> None:
        if not self.quiet:
            self._out.print(message, soft_wrap=True)

    def detail(self, message: str) -> None:
        if not self.quiet:
            self._out.print(f"  {message}", markup=False, soft_wrap=True)


def refresh_once(
    settings: Settings, as_of: str | None, steps: Steps, moment: datetime | None = None
) -> dict[str, Any]:
    """One refresh; returns what `careloop run --json` prints. Raises CareloopError.

    moment: the time of day, at which receipts came in; now if None.
    """
    program = program_of(settings)
    day = parse_as_of(as_of, program.zone)
    return _refresh_day(settings, program, day, steps, moment or now())


def _refresh_day(
    settings: Settings, program: Program, as_of: datetime, steps: Steps, moment: datetime
) -> dict[str, Any]:
    refresh = Refresh(settings, program, as_of)
    with hold(settings):
        loaded = steps("ingest", lambda: refresh.ingest(steps.detail))
        loaded.raise_if_refused()
        take_in_receipts(settings, program, moment)
        run = steps("prepare", refresh.prepare)
        raw = steps("raw gate", lambda: refresh.raw_gate(steps.detail))
        _stop_if_critical(refresh, raw, steps, moment)
        build = refresh.build()
        steps("dbt", lambda: list(build_all(build, steps.detail)))
        build.raise_if_failed()
        marts = steps("marts gate", lambda: refresh.marts_gate(steps.detail))
        _stop_if_critical(refresh, marts, steps, moment)
        done = steps("publish", refresh.publish)
    return {
        "run_id": run.run_id,
        "as_of": run.as_of.isoformat(),
        "program": program.name,
        "loaded": {
            "batches": len(loaded.loaded),
            "already_loaded": loaded.skipped,
            "rows": sum(batch.rows_loaded for batch in loaded.loaded),
            "rejected": sum(batch.rows_rejected for batch in loaded.loaded),
            "waiting": sum(batch.rows_held for batch in loaded.loaded),
        },
        "warnings": sum(len(gate.warnings) for gate in refresh.gates),
        "published": str(done.file),
        "current": done.current,
        "report": str(done.report),
        "seconds": steps.seconds,
    }


def catch_up_missed(
    settings: Settings, steps: Steps, moment: datetime | None = None
) -> list[dict[str, Any]]:
    """Refresh and plan each day between the last run and the day of ``moment`` (today if None);
    what has expired by then isn't sent."""
    program, moment = program_of(settings), moment or now()
    days = missed_days(settings, program.name, start_of_day(program.zone, moment))
    summaries = []
    for day in days:
        steps.say(f"[bold]catching up {day:%Y-%m-%d}[/]")
        summaries.append(_refresh_day(settings, program, day, steps, moment))
        plan_missed_day(settings, program, moment)
    return summaries


def _stop_if_critical(refresh: Refresh, gate: Any, steps: Steps, moment: datetime) -> None:
    if gate.failures:
        steps.say(f"the data quality page is {refresh.write_report()}")
    refresh.stop_if_critical(gate, moment, steps.say)


def run(
    as_of: AsOf = None,
    program: ProgramName = None,
    source: Sources = None,
    home: Home = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Publish the marts as Parquet files too.")
    ] = False,
    catch_up: Annotated[
        bool,
        typer.Option(
            "--catch-up/--no-catch-up",
            help="Without --as-of: first decide the days that were missed since the last run.",
        ),
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Refresh everything once: ingest, gates, models, publish.

    Example: careloop run --source data/crm/online --source data/crm/store --as-of 2026-11-01
    """
    settings = load_settings(
        home=home, program=program, sources=source or None, publish_parquet=parquet or None
    )
    steps = Steps(quiet=as_json)
    if as_of is None and catch_up:
        catch_up_missed(settings, steps)
    summary = refresh_once(settings, as_of, steps)
    if as_json:
        print_json(summary)
        return
    _print_summary(settings, summary)


def _print_summary(settings: Settings, summary: dict[str, Any]) -> None:
    loaded = summary["loaded"]
    out = console()
    version = summary["published"].rpartition("marts-")[2].removesuffix(".duckdb")
    print_segments(settings, version)
    print_decisions(settings, version)
    out.print(
        f"loaded {loaded['rows']:,} rows in {loaded['batches']} batches "
        f"({loaded['already_loaded']} known already), {loaded['rejected']:,} rejected, "
        f"{loaded['waiting']:,} waiting, {summary['warnings']} warnings"
    )
    took = ", ".join(f"{name} {seconds:.1f}" for name, seconds in summary["seconds"].items())
    out.print(f"seconds: {took}", soft_wrap=True)
    if not summary["current"]:
        out.print("This was a replay of an earlier day; the current version stays as it was.")
    print_next(settings)


def backfill(
    start: Annotated[str, typer.Option("--from", help="First day, e.g. 2026-01-01.")],
    until: Annotated[str, typer.Option("--until", help="Last day.")],
    every: Annotated[
        str, typer.Option("--every", help="day, week or month (the first of each).")
    ] = "month",
    program: ProgramName = None,
    source: Sources = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Refresh once for each of several past days, in order, to build up history.

    Example: careloop backfill --from 2026-01-01 --until 2026-11-01 --every month
    """
    settings = load_settings(home=home, program=program, sources=source or None)
    steps = Steps(quiet=as_json)
    summaries = []
    for day in days_between(_day(start), _day(until), every):
        steps.say(f"[bold]as of {day}[/]")
        summaries.append(refresh_once(settings, day.isoformat(), steps))
    if as_json:
        print_json(summaries)
        return
    rows = [[s["as_of"][:10], s["run_id"], sum(s["seconds"].values())] for s in summaries]
    print_table(["as of", "run", "seconds"], rows)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is no day", "write it like 2026-01-31") from error


def days_between(first: date, last: date, every: str) -> list[date]:
    """The days to refresh: each day, each seventh, or the first of each month."""
    if every not in ("day", "week", "month"):
        raise SettingsError(f"--every {every}", "allowed: day, week, month")
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if every == "month":
        return [day for day in span if day == first or day.day == 1]
    return span[:: 7 if every == "week" else 1]
