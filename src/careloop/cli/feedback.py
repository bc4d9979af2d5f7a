"""`careloop feedback` and `careloop receiver`: what comes back for messages."""

from dataclasses import asdict
from typing import Annotated

import typer

from careloop.cli.options import Home, ProgramName
from careloop.cli.output import JsonFlag, console, print_json
from careloop.clock import now
from careloop.feedback.imports import import_receipts
from careloop.ledger.database import open_ledger
from careloop.program.load import load_program
from careloop.settings import load_settings


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="What comes back for messages.")
    group.command("import")(import_)
    app.add_typer(group, name="feedback")
    app.command("receiver")(receiver)


def import_(home: Home = None, program: ProgramName = None, as_json: JsonFlag = False) -> None:
    """Record receipts that sources brought by file, with what follows from them.

    Example: careloop feedback import
    """
    settings = load_settings(home=home, program=program)
    rules = load_program(settings.program).feedback
    with open_ledger(settings) as ledger:
        found = import_receipts(settings, ledger, rules, now())
    if as_json:
        print_json(asdict(found))
        return
    console().print(
        f"{found.read:,} receipts read: {found.new:,} new, {found.known:,} known, "
        f"{found.unmatched:,} of unknown messages; {found.suppressed:,} suppressions, "
        f"{found.lifted:,} lifted by a newer consent"
    )


def receiver(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 8787,
    home: Home = None,
    program: ProgramName = None,
) -> None:
    """Serve signed receipts and unsubscribe links over HTTP; see docs/feedback.md.

    Example: careloop receiver --port 8787
    """
    from careloop.feedback.receiver import serve

    settings = load_settings(home=home, program=program)
    rules = load_program(settings.program).feedback
    console().print(f"receiving on http://{host}:{port}/ (receipts, u/…, healthz)")
    serve(settings, rules, now, host, port)
