"""`careloop service`: the watch over open cases between two refreshes, and what is due."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from careloop import clock
from careloop.cli.escalations import due
from careloop.cli.options import Home, Now, ProgramName, Sources
from careloop.cli.output import JsonFlag, console, print_json
from careloop.refresh import program_of
from careloop.service import Round, service_round
from careloop.settings import load_settings

service_app = typer.Typer(no_args_is_help=True, help="Watch the open cases of service.")


def register(app: typer.Typer) -> None:
    service_app.command("due")(due)
    app.add_typer(service_app, name="service")


@service_app.command("round")
def run_round(
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            help="Time the round looks from, in the program's zone. Default: now",
            show_default=False,
        ),
    ] = None,
    now: Now = None,
    program: ProgramName = None,
    source: Sources = None,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Load what is new, find what is due or late, escalate, tell the team and the customers.

    Light: no refresh, only open cases and what changed since the last one. The same round twice
    changes nothing. Example: careloop service round --as-of 2026-11-01T10:00
    """
    settings = load_settings(home=home, program=program, sources=source or None)
    pack = program_of(settings)
    here = clock.clock_at(now)()
    moment = clock.parse_moment(as_of, pack.zone, here)
    out = console()
    out.stderr = True
    done = service_round(
        settings, pack, moment, here, lambda text: None if as_json else out.print(text)
    )
    if as_json:
        print_json(_data(done))
        return
    for line in told(done):
        console().print(line, soft_wrap=True)


def told(done: Round) -> list[str]:
    """The round in a few lines."""
    cases = ", ".join(f"{count:,} {kind}" for kind, count in done.watched.cases.items())
    took = ", ".join(f"{name} {seconds:.1f}" for name, seconds in done.watched.seconds.items())
    return [
        f"as of {done.watched.as_of:%Y-%m-%d %H:%M}, going on from {done.watched.since}: {cases}",
        f"planned {done.planned.planned:,} messages and tasks, {done.planned.known:,} known "
        f"before, {done.planned.expired:,} too late",
        f"escalations: {_levels(done)}; {done.escalated.fulfilled:,} fulfilled, "
        f"{done.escalated.open:,} open{_found(done)}; {done.alerted.sent:,} lists sent",
        f"seconds: {took}",
    ]


def _levels(done: Round) -> str:
    raised = done.escalated.raised
    return ", ".join(f"{n:,} {level}" for level, n in raised.items()) or "none raised"


def _found(done: Round) -> str:
    backlog, over = done.escalated.backlog, done.escalated.over
    return (f", {backlog:,} new in the backlog" if backlog else "") + (
        f", {over:,} missed and done since the last round" if over else ""
    )


def _data(done: Round) -> dict[str, Any]:
    loaded = done.loaded
    return {
        "as_of": done.watched.as_of.isoformat(),
        "since": done.watched.since,
        "loaded": loaded
        and {
            "batches": len(loaded.loaded),
            "already_loaded": loaded.skipped,
            "rows": sum(batch.rows_loaded for batch in loaded.loaded),
        },
        "cases": done.watched.cases,
        "decided": done.watched.decided,
        "planned": asdict(done.planned),
        "escalated": asdict(done.escalated),
        "alerted": asdict(done.alerted),
        "file": str(done.watched.file),
        "seconds": done.watched.seconds,
    }
