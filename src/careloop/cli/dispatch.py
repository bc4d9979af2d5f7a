"""`careloop plan`, `dispatch` and `ledger`: carry out what was decided; see what became of it."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Connection

from careloop import clock
from careloop.care import ROUTES, plan_published, send_due
from careloop.cli.options import Home, Now, ProgramName
from careloop.cli.output import JsonFlag, console, print_json, print_table
from careloop.dispatch import Summary
from careloop.errors import SettingsError
from careloop.ledger import controls, show
from careloop.ledger.database import open_ledger, utc
from careloop.plan import plan as plan_version
from careloop.published import versions
from careloop.refresh import program_of
from careloop.settings import load_settings

COUNTED = ("sent", "failed", "unknown", "suppressed", "expired", "again")

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger-url",
        help="Where the ledger is, e.g. postgresql://care@db/care. Default: ledger.db in home",
        show_default=False,
    ),
]

dispatch_app = typer.Typer(invoke_without_command=True, context_settings={"max_content_width": 100})
ledger_app = typer.Typer(no_args_is_help=True, help="Look into the ledger.")


def register(app: typer.Typer) -> None:
    app.command("plan")(plan)
    app.add_typer(dispatch_app, name="dispatch")
    app.add_typer(ledger_app, name="ledger")


def plan(
    version: Annotated[
        str | None,
        typer.Option(
            "--version", help="One published version. Default: every one that is not planned yet"
        ),
    ] = None,
    now: Now = None,
    program: ProgramName = None,
    home: Home = None,
    ledger_url: LedgerUrl = None,
    as_json: JsonFlag = False,
) -> None:
    """Copy what was decided into the ledger, day by day; again changes nothing.

    Example: careloop plan
    """
    settings = load_settings(home=home, program=program, ledger_url=ledger_url)
    pack, moment = program_of(settings), clock.clock_at(now)()
    if version is None:
        done = plan_published(settings, pack, moment)
    else:
        if version not in versions(settings):
            known = ", ".join(versions(settings)) or "none"
            raise SettingsError(f"there is no version {version}", f"published: {known}")
        file = settings.published / f"marts-{version}.duckdb"
        with open_ledger(settings) as ledger:
            done = [plan_version(settings, pack, file, moment, ledger)]
    if as_json:
        print_json([asdict(one) for one in done])
        return
    for one in done:
        console().print(
            f"{one.version}: {one.planned:,} planned, {one.expired:,} too late, "
            f"{one.known:,} known already, {one.exposures:,} exposures"
        )
    if not done:
        console().print("everything published is planned already")
    console().print("careloop dispatch sends what is due", style="dim")


@dispatch_app.callback()
def dispatch(
    context: typer.Context,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch/--once", help="Go on until stopped, or end when nothing is due (default)."
        ),
    ] = False,
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", help="Only this channel, or task; may be repeated."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Hand over at most so many messages.")
    ] = None,
    now: Now = None,
    program: ProgramName = None,
    home: Home = None,
    ledger_url: LedgerUrl = None,
    as_json: JsonFlag = False,
) -> None:
    """Send what is planned and due, each message once. Ctrl-C ends after the message in flight.

    Example: careloop dispatch --channel email --limit 100

    Example: careloop dispatch pause, and when all is well: careloop dispatch resume
    """
    if context.invoked_subcommand is not None:
        return
    settings = load_settings(home=home, program=program, ledger_url=ledger_url)
    with ending_on_signals() as quit, _bar(quiet=as_json) as bar:
        summary = send_due(
            settings,
            program_of(settings),
            clock.clock_at(now),
            routes=_routes(channel),
            most=limit,
            watch=watch,
            quit=quit,
            progress=bar,
        )
    if as_json:
        print_json(asdict(summary))
    else:
        print_summary(summary)


def _routes(wanted: Sequence[str] | None) -> list[str]:
    for name in wanted or ():
        if name not in ROUTES:
            raise SettingsError(f"there is no channel {name}", f"allowed: {', '.join(ROUTES)}")
    return list(wanted or ROUTES)


@contextmanager
def ending_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends at once."""
    quit = threading.Event()
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def end(kind: int, _: object) -> None:
        quit.set()
        signal.signal(kind, handlers[signal.Signals(kind)])

    for kind in handlers:
        signal.signal(kind, end)
    try:
        yield quit
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Callable[[int, int, Mapping[str, int]], None] | None]:
    """A progress bar on a terminal; nothing into a pipe."""
    out = console()
    out.stderr = True
    if quiet or not out.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=out, transient=True) as bar:
        task = bar.add_task("sending", total=None)

        def show_progress(done: int, total: int, by_route: Mapping[str, int]) -> None:
            text = ", ".join(f"{route} {count:,}" for route, count in sorted(by_route.items()))
            bar.update(task, completed=done, total=total, description=text)

        yield show_progress


def print_summary(summary: Summary) -> None:
    """What one dispatch did, as a table and what a person should know of it."""
    out = console()
    if summary.counts:
        rows = [
            [route, *(counts.get(what, 0) for what in COUNTED), summary.left.get(route, 0)]
            for route, counts in summary.counts.items()
        ]
        print_table(["channel", *COUNTED, "still due"], rows)
    else:
        out.print("nothing was due; careloop dispatch status shows what waits for its hour")
    for route, until in summary.resting.items():
        out.print(f"{route} does not work; it rests until {until} UTC")
    unknown = summary.of("unknown")
    if unknown:
        out.print(f"{unknown:,} may or may not have gone out; they are not sent again")
    if summary.halted:
        out.print(f"{summary.halted}: {sum(summary.left.values()):,} are still due")


def _ordered(
    order: Callable[[Connection], None], said: str, home: Any, ledger_url: str | None, as_json: bool
) -> None:
    settings = load_settings(home=home, ledger_url=ledger_url)
    with open_ledger(settings) as ledger, ledger.write() as con:
        order(con)
    if as_json:
        print_json({"ok": True, "said": said})
    else:
        console().print(said)


@dispatch_app.command("pause")
def pause(home: Home = None, ledger_url: LedgerUrl = None, as_json: JsonFlag = False) -> None:
    """Begin no further message, in any dispatcher on any machine, until resume.

    Example: careloop dispatch pause
    """
    _ordered(
        partial(controls.pause, now=utc(clock.now())),
        "paused; careloop dispatch resume goes on",
        home,
        ledger_url,
        as_json,
    )


@dispatch_app.command("resume")
def resume(home: Home = None, ledger_url: LedgerUrl = None, as_json: JsonFlag = False) -> None:
    """Take back a pause; the next dispatch goes on where the last one ended.

    Example: careloop dispatch resume
    """
    _ordered(controls.resume, "resumed", home, ledger_url, as_json)


@dispatch_app.command("stop")
def stop(home: Home = None, ledger_url: LedgerUrl = None, as_json: JsonFlag = False) -> None:
    """End every dispatcher that is running after its message in flight.

    Example: careloop dispatch stop
    """
    _ordered(
        partial(controls.stop, now=utc(clock.now())),
        "running dispatchers end",
        home,
        ledger_url,
        as_json,
    )


@dispatch_app.command("status")
def status(
    now: Now = None, home: Home = None, ledger_url: LedgerUrl = None, as_json: JsonFlag = False
) -> None:
    """Show what is due, in flight and unknown on each channel, and which orders hold.

    Example: careloop dispatch status --json
    """
    settings = load_settings(home=home, ledger_url=ledger_url)
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = show.standing(con, utc(clock.clock_at(now)()))
        orders = controls.orders(con)
    if as_json:
        print_json({"channels": [asdict(one) for one in found], "orders": orders})
        return
    if found:
        names = ["channel", "due", "later", "in flight", "unknown"]
        print_table(names, [list(asdict(one).values()) for one in found])
    else:
        console().print("nothing is waiting")
    for order in orders:
        until = f" until {order['until']} UTC" if order["until"] else ""
        console().print(
            f"{order['name']}{until}, since {order['changed_at']} UTC: {order['reason']}",
            markup=False,
        )


@ledger_app.command("show")
def show_story(
    name: Annotated[str, typer.Argument(help="A message_id or a customer_id.")],
    home: Home = None,
    ledger_url: LedgerUrl = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the messages of a customer, or one message, with every change of state.

    Example: careloop ledger show C1000042
    """
    settings = load_settings(home=home, ledger_url=ledger_url)
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = show.story(con, name.strip())
    if not found:
        raise SettingsError(
            f"the ledger has no message or customer {name}",
            "write a customer_id, or a whole message_id",
        )
    if as_json:
        print_json(found)
        return
    out = console()
    for message in found:
        out.print(
            f"[bold]{message['rule']}[/] {message['occasion']} for {message['customer_id']} "
            f"on {message['channel']} ({message['kind']}), message {message['message_id']}",
            soft_wrap=True,
        )
        rows = [[e["at_utc"], e["state"], e["attempt"], e["reason"]] for e in message["events"]]
        print_table(["at (UTC)", "state", "attempt", "reason"], rows)
