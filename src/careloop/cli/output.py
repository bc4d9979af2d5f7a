"""How every command prints: a table of at most 100 columns, or JSON with ``--json``."""

import json
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_NUMERIC = (int, float)
# Columns broken into narrower pieces than this can't be read.
LEGIBLE = 9


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
    whole: columns whose values are not broken. Where the columns would be too narrow to read,
    each row is a list of its values, one below the other."""
    rows = [list(row) for row in rows]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    texts = [[_text(value) for value in row] for row in rows]
    if not tight and texts and _room_needed(columns, texts) > console().width:
        _print_records(columns, texts, title)
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
    for row in texts:
        table.add_row(*row)
    console().print(table)


def _room_needed(columns: Sequence[str], texts: Sequence[Sequence[str]]) -> int:
    """Width at which no column is narrower than its values, or than can be read."""
    widest = [
        max(cell_len(text) for text in (column, *(row[index] for row in texts)))
        for index, column in enumerate(columns)
    ]
    return sum(min(width, LEGIBLE) + 3 for width in widest) + 1


def _print_records(columns: Sequence[str], texts: Sequence[Sequence[str]], title: str) -> None:
    out = console()
    if title:
        out.print(title, style="italic", markup=False)
    for number, row in enumerate(texts, 1):
        out.rule(f"row {number}", align="left", style="dim")
        record = Table(box=None, show_header=False, pad_edge=False)
        record.add_column(style="bold", no_wrap=True)
        record.add_column(overflow="fold")
        for column, text in zip(columns, row, strict=True):
            record.add_row(escape(column), escape(text))
        out.print(record)


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
