"""The page as text for a terminal, and as data for JSON."""

from decimal import Decimal
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from careloop.customer_page.page import Found, Page, Row
from careloop.customer_page.words import UNKNOWN, Words, words

NUMERIC = ("money", "days", "hours", "score", "share", "change", "late", "until")
SHORT = 20
BAR = 10
WHOLE = 16
COLOURS = {"red": "red", "yellow": "yellow", "green": "green", "high": "red", "medium": "yellow"}


def as_data(page: Page, lang: str) -> dict[str, Any]:
    """What ``--json`` prints: times in UTC, amounts in the program's currency, the program's ids
    as they are with their titles beside them. docs/customer-page.md lists the keys."""
    return {
        "customer_id": page.customer_id,
        "as_of": page.run["as_of_local"].isoformat(),
        "zone": page.run["zone"],
        "currency": page.run["currency"],
        "program": page.run["pack"],
        "run_id": page.run["run_id"],
        "sections": {
            found.section.id: {
                "title": found.section.title[lang],
                "rows": found.rows if found.section.form == "table" else found.rows[0],
                "titles": _titles_used(found, page, lang),
            }
            for found in page.sections
        },
    }


def _titles_used(found: Found, page: Page, lang: str) -> dict[str, dict[str, str]]:
    """Per column, the titles of the ids that stand in it."""
    used: dict[str, dict[str, str]] = {}
    for row in found.rows:
        for column in found.section.titles:
            title = _titles(found, page, column, row).get(str(row.get(column)))
            if title:
                used.setdefault(column, {})[row[column]] = title[lang]
    return used


def words_of(page: Page, lang: str) -> Words:
    """The words of a page in a language."""
    return Words(lang, page.run["zone"], page.run["currency"], page.windows)


def show(page: Page, out: Console, lang: str) -> None:
    """Print the page."""
    say = words_of(page, lang)
    head = Text(page.customer_id, style="bold reverse")
    head.append(
        f"  {say.page('as_of')} {page.run['as_of_local']:%Y-%m-%d %H:%M} · "
        f"{say.page('program')} {page.run['pack']} · {page.run['run_id']}",
        style="not bold not reverse",
    )
    out.print(head)
    for found in page.sections:
        out.print()
        out.print(f"[bold]{escape(found.section.title[lang])}[/]")
        out.print(_body(found, page, say))


def show_contact(contact: dict[str, str], out: Console, say: Words, logged: str) -> None:
    """Print contact details that have been revealed."""
    out.print()
    out.print(f"[bold]{say.page('contact')}[/] ({escape(logged)})")
    if not contact:
        out.print(f"  {say.page('no_contact')}")
        return
    table = _grid(24, None)
    for name, value in contact.items():
        table.add_row(Text("  " + say.field(name), style="dim"), Text(value))
    out.print(table)


def _body(found: Found, page: Page, say: Words) -> RenderableType:
    if found.section.form == "fields":
        return _fields(found, page, say)
    return _table(found, page, say)


def _titles(found: Found, page: Page, column: str, row: Row) -> dict[str, dict[str, str]]:
    tables = found.section.titles.get(column, [])
    if "dimension" in row:
        tables = [table for table in tables if table == f"{row['dimension']}s"]
    return {key: title for (table, key), title in page.titles.items() if table in tables}


def _read(found: Found, page: Page, say: Words, column: str, row: Row) -> str:
    name = row[found.section.like[column]] if column in found.section.like else column
    return say.value(name, row[column], _titles(found, page, column, row))


def _cell(found: Found, page: Page, say: Words, column: str, row: Row) -> Text:
    text = _read(found, page, say, column, row)
    form = words()["fields"].get(column, {}).get("as")
    if form == "bar" and row[column] is not None:
        full = round(float(row[column]) / 100 * BAR)
        return Text(f"{'█' * full}{'░' * (BAR - full)} {text:>3}")
    style = COLOURS.get(str(row[column]), "") if form == "level" else ""
    return Text("" if text == UNKNOWN else text, style=style)


def _grid(*widths: int | None) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        table.add_column(width=width, overflow="fold")
    return table


def _fields(found: Found, page: Page, say: Words) -> RenderableType:
    """Known fields, two beside each other; long texts have a line of their own."""
    row = found.rows[0]
    pairs = [
        (name, _cell(found, page, say, name, row))
        for name in found.shown
        if row[name] is not None and row[name] != ""
    ]
    parts: list[RenderableType] = []
    short: list[Text] = []

    def flush() -> None:
        if short:
            table = _grid(24, 22, 24, 22)
            for i in range(0, len(short), 4):
                table.add_row(*short[i : i + 4])
            parts.append(table)
            short.clear()

    for name, text in pairs:
        label = Text("  " + say.field(name), style="dim")
        if text.cell_len <= SHORT and not name.endswith("reason"):
            short.extend((label, text))
            continue
        flush()
        table = _grid(24, None)
        table.add_row(label, text)
        parts.append(table)
    flush()
    return Group(*parts)


def _table(found: Found, page: Page, say: Words) -> RenderableType:
    """The first rows; columns in which nothing is known are left out."""
    rows = found.rows[: found.section.most]
    columns = [c for c in found.shown if any(row[c] is not None for row in rows)]
    table = Table(box=None, padding=(0, 2 if len(columns) < 8 else 1, 0, 0), header_style="dim")
    table.add_column("", width=1)
    cells = {name: [_cell(found, page, say, name, row) for row in rows] for name in columns}
    for name in columns:
        table.add_column(
            say.field(name),
            justify="right" if _is_numeric(name, rows) else "left",
            overflow="fold",
            no_wrap=max(cell.cell_len for cell in cells[name]) <= WHOLE,
        )
    for i in range(len(rows)):
        table.add_row("", *[cells[name][i] for name in columns])
    total = len(found.rows) + found.more
    if total <= len(rows):
        return table
    more = f"{total}" + ("+" if found.more else "")
    note = Text("  " + say.page("more", shown=len(rows), all=more), style="dim")
    return Group(table, note)


def _is_numeric(name: str, rows: list[Row]) -> bool:
    return words()["fields"].get(name, {}).get("as") in NUMERIC or all(
        isinstance(row[name], int | float | Decimal) and not isinstance(row[name], bool)
        for row in rows
        if row[name] is not None
    )
