"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

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
