"""How every command prints: a table of at most 100 columns, or JSON with ``--json``."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_NUMERIC = (int, float)


def console() -> Console:
    """A console that never exceeds 100 columns and never guesses colours in a pipe."""
    out = Console(highlight=False)
    if not out.is_terminal or out.width > 100:
        out = Console(width=100, highlight=False)
    return out


def print_json(data: Any) -> None:
    """``data`` as JSON; dates and decimals as text."""
    typer.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    as_json: bool = False,
    tight: bool = False,
    whole: Collection[str] = (),
) -> None:
    """``rows`` under ``columns``; as JSON a list of objects. tight: without lines between columns;
    whole: columns whose values are not broken."""
    rows = [list(row) for row in rows]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    if tight:
        table.box, table.padding, table.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], _NUMERIC) for row in rows)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column in whole,
        )
    for row in rows:
        table.add_row(*[_text(value) for value in row])
    console().print(table)


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1 else f"{value:,.2f}"
    return str(value)
