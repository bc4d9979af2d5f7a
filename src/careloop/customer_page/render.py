"""The page as text for a terminal, and as data for JSON."""

from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from careloop.customer_page.page import Found, Page
from careloop.customer_page.words import UNKNOWN, Words, words

NUMERIC = ("money", "days", "hours", "score", "share", "change", "late")
SHORT = 20


def as_data(page: Page, lang: str) -> dict[str, Any]:
    """What ``--json`` prints: times in UTC, amounts in the program's currency."""
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
            }
            for found in page.sections
        },
    }


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


def _titles(found: Found, page: Page, column: str) -> dict[str, dict[str, str]]:
    tables = found.section.titles.get(column, [])
    return {key: title for (table, key), title in page.titles.items() if table in tables}


def _read(found: Found, page: Page, say: Words, column: str, value: Any) -> str:
    return say.value(column, value, _titles(found, page, column))


def _grid(*widths: int | None) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for width in widths:
        table.add_column(width=width, overflow="fold")
    return table


def _fields(found: Found, page: Page, say: Words) -> RenderableType:
    """Known fields, two beside each other; long texts have a line of their own."""
    row = found.rows[0]
    pairs = [
        (name, _read(found, page, say, name, value))
        for name, value in row.items()
        if value is not None and value != ""
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
        if len(text) <= SHORT and not name.endswith("reason"):
            short.extend((label, Text(text)))
            continue
        flush()
        table = _grid(24, None)
        table.add_row(label, Text(text))
        parts.append(table)
    flush()
    return Group(*parts)


def _table(found: Found, page: Page, say: Words) -> RenderableType:
    """The first rows; columns in which nothing is known are left out."""
    rows = found.rows[: found.section.most]
    columns = [c for c in found.columns if any(row[c] is not None for row in rows)]
    table = Table(box=None, padding=(0, 2 if len(columns) < 8 else 1, 0, 0), header_style="dim")
    table.add_column("", width=1)
    for name in columns:
        numeric = words()["fields"].get(name, {}).get("as") in NUMERIC or all(
            isinstance(row[name], int | float) and not isinstance(row[name], bool)
            for row in rows
            if row[name] is not None
        )
        longest = max(len(_read(found, page, say, name, row[name])) for row in rows)
        table.add_column(
            say.field(name),
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=longest <= SHORT,
        )
    for row in rows:
        cells = [_read(found, page, say, name, row[name]) for name in columns]
        table.add_row("", *[Text(cell if cell != UNKNOWN else "") for cell in cells])
    total = len(found.rows) + found.more
    if total <= len(rows):
        return table
    more = f"{total}" + ("+" if found.more else "")
    note = Text("  " + say.page("more", shown=len(rows), all=more), style="dim")
    return Group(table, note)
