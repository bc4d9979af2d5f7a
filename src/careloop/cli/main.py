"""The `careloop` command: assembles its commands and prints expected failures plainly."""

import importlib
import os
import sys

import typer
from rich.console import Console

from careloop import __version__
from careloop.errors import CareloopError
from careloop.quiet_exit import QuietExit

COMMANDS = (
    "run",
    "source",
    "contract",
    "program",
    "rules",
    "sample",
    "quality",
    "marts",
    "customer",
    "explain",
    "rule_diff",
    "tasks",
    "registers",
    "escalations",
    "channels",
    "preview",
    "feedback",
    "erase",
    "dispatch",
    "service",
    "prefect",
)

app = typer.Typer(
    name="careloop",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Customer care from CRM data. Start with: careloop sample data/crm, then careloop run.",
)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version."),
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


for _name in COMMANDS:
    importlib.import_module(f"careloop.cli.{_name}").register(app)


def main() -> None:
    """Run the command line; a CareloopError ends it with its message and exit code."""
    ending = QuietExit()
    os.environ.setdefault("TERMINAL_WIDTH", "100")
    try:
        app()
    except SystemExit as left:
        ending.code = left.code if isinstance(left.code, int) else int(left.code is not None)
        raise
    except CareloopError as error:
        ending.code = error.exit_code
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/]: {str(error).replace('[', chr(92) + '[')}"
        )
        sys.exit(error.exit_code)
