"""The `careloop` command: assembles its commands and prints expected failures plainly."""

import importlib
import os
import sys
from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import Any

import typer
from typer.core import TyperGroup

from careloop import __version__
from careloop.errors import CareloopError
from careloop.quiet_exit import QuietExit

# Module of careloop.cli: the commands it registers, in the order of the help.
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run", "backfill"),
    "source": ("source", "quarantine"),
    "contract": ("contract",),
    "program": ("program",),
    "rules": ("rules",),
    "sample": ("sample",),
    "quality": ("quality",),
    "marts": ("marts", "sql"),
    "metrics": ("metrics",),
    "customer": ("customer", "access-log"),
    "explain": ("explain",),
    "rule_diff": ("diff-rules",),
    "calibrate": ("calibrate",),
    "preview": ("preview",),
    "dispatch": ("plan", "dispatch", "ledger"),
    "service": ("service",),
    "escalations": ("escalations",),
    "tasks": ("tasks",),
    "registers": ("registers",),
    "channels": ("channels",),
    "feedback": ("feedback", "receiver"),
    "erase": ("erase",),
    "review": ("review",),
    "chart": ("chart",),
    "docs": ("docs",),
    "questions": ("questions",),
    "prefect": ("up", "deploy"),
}


class Commands(TyperGroup):
    """Imports the module of the command that is typed; the help imports them all."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 typer's
        found = [module for module, names in COMMANDS.items() if cmd_name in names]
        return commands_of(found[0]).get(cmd_name) if found else None

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 typer's
        return [name for names in COMMANDS.values() for name in names]

    @property
    def commands(self) -> MutableMapping[str, Any]:
        """Every command by name, in the order of the table."""
        found = {n: command for module in COMMANDS for n, command in commands_of(module).items()}
        return {name: found[name] for names in COMMANDS.values() for name in names}

    @commands.setter
    def commands(self, given: MutableMapping[str, Any]) -> None:
        assert not given, "commands are registered by the modules of COMMANDS"


@cache
def commands_of(module: str) -> Mapping[str, Any]:
    """What a module of careloop.cli registers."""
    part = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    importlib.import_module(f"careloop.cli.{module}").register(part)
    return typer.main.get_group(part).commands


app = typer.Typer(
    name="careloop",
    cls=Commands,
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
        from rich.console import Console

        ending.code = error.exit_code
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"[bold red]error[/]: {str(error).replace('[', chr(92) + '[')}"
        )
        sys.exit(error.exit_code)
