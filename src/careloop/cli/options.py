"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from careloop.errors import SettingsError

if TYPE_CHECKING:
    from careloop.program.model import Program

Home = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Where careloop keeps everything. Default: data", show_default=False
    ),
]
ProgramName = Annotated[
    str | None,
    typer.Option(
        "--program", help="Program pack, by name or path. Default: retail_care", show_default=False
    ),
]
Sources = Annotated[
    list[Path] | None,
    typer.Option("--source", help="Folder with a source.yml; may be repeated.", show_default=False),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        help="Day or time the run looks from, in the program's zone. Default: start of today",
        show_default=False,
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        "--now", help="Time to go by, in UTC unless it has a zone. Default: now", show_default=False
    ),
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version", help="A published version instead of the current.", show_default=False
    ),
]
Lang = Annotated[
    str | None,
    typer.Option("--language", help="zh or en. Default: the program's", show_default=False),
]


def language_of(asked: str | None, program: "Program") -> str:
    """zh or en: what ``--language`` asks for, else the program's. Raises SettingsError."""
    from careloop.program.base import language

    if asked not in (None, "zh", "en"):
        raise SettingsError(f"there is no language {asked}", "--language: zh, en")
    return asked or language(program.locales[0])
