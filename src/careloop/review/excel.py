"""The tables of a review as one workbook, byte for byte the same from the same review."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

import xlsxwriter

from careloop.durable import put
from careloop.errors import SettingsError
from careloop.review.model import Column, Section, Sentence, Table
from careloop.review.words import DIGITS, Words
from careloop.spreadsheet import (
    LAST_ROW,
    cell_format,
    cell_value,
    head_format,
    set_up_print,
    write_cell,
)

NAME_SIGNS = 31
NARROW, WIDE = 9, 46
LOOKED_AT = 500  # rows a column's width is judged by
TEXTS = {
    "contents": {"en": "Contents", "zh": "目录"},
    "headings": {
        "en": ("Sheet", "Section", "Rows", "Note"),
        "zh": ("工作表", "章节", "行数", "说明"),
    },
    "headline": {"en": "Headline", "zh": "要点"},
    "yes": {"en": "yes", "zh": "是"},
    "no": {"en": "no", "zh": "否"},
}
MARKS = {"good": "✓", "bad": "✗", "info": "•"}
CONTENTS_WIDTHS = (34, 26, 10, 90)
_REFUSED = re.compile(r"[\[\]:*?/\\]")


@dataclass(frozen=True)
class Sheet:
    """A table with the name of its sheet and the title of the section it stands in."""

    name: str
    section: str
    table: Table


def write_workbook(
    path: Path,
    title: str,
    sections: Sequence[Section],
    headline: Sequence[Sentence],
    say: Words,
    made_at: datetime,
) -> list[Sheet]:
    """Write every table of a review as a sheet, after a sheet of contents; returns the sheets.

    title: names the review, its program and period. made_at: what the file says of its making
    (naive UTC). Shares are numbers from 0 to 1, shown in percent; changes have their sign, those
    of shares are in percentage points; unknown cells are empty. Trends are left out: the periods
    are rows of a table of their own. The file is complete or isn't there. Raises SettingsError
    for a path that can't be written to.
    """
    sheets = list(_named(_tables(sections), TEXTS["contents"][say.language]))
    made = io.BytesIO()
    with xlsxwriter.Workbook(made, {"in_memory": True}) as book:
        book.set_properties({"title": title, "author": "careloop", "created": made_at})
        writer = _Writer(book, title, say)
        writer.contents(sheets, headline)
        for sheet in sheets:
            writer.sheet(sheet)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, made.getvalue())
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from error
    return sheets


def _tables(sections: Iterable[Section], above: str = "") -> Iterator[tuple[str, Table]]:
    for section in sections:
        title = f"{above} · {section.title}" if above else section.title
        for block in section.blocks:
            if isinstance(block, Table):
                yield title, block
        yield from _tables(section.sections, title)


def _named(found: Iterable[tuple[str, Table]], contents: str) -> Iterator[Sheet]:
    """Excel allows 31 signs, no name twice whatever its case, and neither ``History`` nor
    apostrophes at the ends. Tables of one title are told apart by their sections."""
    tables = list(found)
    counts = Counter(table.title for _, table in tables)
    taken = {contents.casefold(), "history"}
    for section, table in tables:
        parts = [section.rpartition(" · ")[2]] if counts[table.title] > 1 else []
        plain = " ".join(_REFUSED.sub(" ", cell_value(" ".join([*parts, table.title]))).split())
        base = plain.strip(" '") or table.id
        name, number = base[:NAME_SIGNS].rstrip(" '"), 1
        while name.casefold() in taken:
            number += 1
            end = f" {number}"
            name = base[: NAME_SIGNS - len(end)].rstrip(" '") + end
        taken.add(name.casefold())
        yield Sheet(name, section, table)


class _Writer:
    """Writes sheets into a workbook in the making."""

    def __init__(self, book: Any, subject: str, say: Words) -> None:
        self.book, self.subject, self.say = book, subject, say
        self.language = language = say.language
        self._font = cell_format(language)
        self._head = book.add_format(head_format(language))
        self._made: dict[tuple[str, int], Any] = {}
        plain = {k: v for k, v in self._font.items() if not k.startswith("border")}
        self._title = book.add_format({**plain, "bold": True, "font_size": 14})
        self._bold = book.add_format({**plain, "bold": True})
        self._plain = book.add_format({**plain, "text_wrap": True})
        self._link = book.add_format({**self._font, "font_color": "#0B57A4", "underline": 1})

    def contents(self, sheets: Sequence[Sheet], headline: Sequence[Sentence]) -> None:
        """What there is, with links, under what matters most."""
        sheet = self.book.add_worksheet(TEXTS["contents"][self.language])
        for column, width in enumerate(CONTENTS_WIDTHS):
            sheet.set_column(column, column, width)
        sheet.write_string(0, 0, cell_value(self.subject), self._title)
        line = 2
        if headline:
            sheet.write_string(line, 0, TEXTS["headline"][self.language], self._bold)
            for sentence in headline:
                line += 1
                text = cell_value(f"{MARKS[sentence.tone]} {sentence.text}")
                sheet.merge_range(line, 0, line, len(CONTENTS_WIDTHS) - 1, text, self._plain)
                # Excel never grows a row for merged cells.
                sheet.set_row(line, 15 * (1 + _signs(text) // sum(CONTENTS_WIDTHS)))
            line += 2
        headings = TEXTS["headings"][self.language]
        for column, heading in enumerate(headings):
            sheet.write_string(line, column, heading, self._head)
        text, number = self._form("text", 0), self._form("number", 0)
        for row, one in enumerate(sheets, line + 1):
            place = "internal:'{}'!A1".format(one.name.replace("'", "''"))
            sheet.write_url(row, 0, place, self._link, string=one.name)
            sheet.write_string(row, 1, cell_value(one.section), text)
            sheet.write_number(row, 2, len(one.table.rows), number)
            write_cell(sheet, row, 3, cell_value(one.table.note) or None, text)
        set_up_print(sheet, self.subject, self.language)
        sheet.repeat_rows(line)

    def sheet(self, sheet: Sheet) -> None:
        """One table: headings that stay, filters, numbers as numbers."""
        table = sheet.table
        columns = [column for column in table.columns if column.kind != "trend"]
        if len(table.rows) > LAST_ROW:
            raise SettingsError(
                f"the table {table.id} has more rows than a sheet holds ({LAST_ROW:,})",
                "its mart has them all: `careloop sql`",
            )
        page = self.book.add_worksheet(sheet.name)
        page.set_row(0, 30)
        for index, column in enumerate(columns):
            page.set_column(index, index, _width(column, table.rows))
            page.write_string(0, index, cell_value(column.title), self._head)
        for line, row in enumerate(table.rows, 1):
            for index, column in enumerate(columns):
                self._cell(page, line, index, column, row)
        page.freeze_panes(1, 1)
        page.autofilter(0, 0, max(len(table.rows), 1), len(columns) - 1)
        set_up_print(page, self.subject, self.language)

    def _cell(self, page: Any, line: int, index: int, column: Column, row: dict[str, Any]) -> None:
        value, kind = cell_value(row.get(column.key)), column.kind
        unit = str(row.get("unit") or "number")
        if isinstance(value, bool):
            value = TEXTS["yes" if value else "no"][self.language]
        elif isinstance(value, float) and not abs(value) < float("inf"):
            value = None
        elif kind == "state" and value is not None:
            value = self.say.state(value)
        elif kind == "change" and unit == "share" and value is not None:
            value, kind = 100 * value, "points"
        by_unit = column.kind in ("by_unit", "change")
        digits = DIGITS.get(unit, 0) if by_unit else column.digits
        if kind == "by_unit":
            kind = "share" if unit == "share" else "number"
        look = "text" if isinstance(value, str) else kind
        write_cell(page, line, index, value, self._form(look, digits))

    def _form(self, kind: str, digits: int) -> Any:
        if (kind, digits) not in self._made:
            look = {**self._font, **_look(kind, digits, self.say("points", x=""))}
            self._made[kind, digits] = self.book.add_format(look)
        return self._made[kind, digits]


def _look(kind: str, digits: int, points: str) -> dict[str, Any]:
    decimals = "." + "0" * digits if digits else ""
    if kind == "share":
        return {"num_format": f"0{decimals}%"}
    if kind in ("number", "money", "score"):
        return {"num_format": f"#,##0{decimals}"}
    if kind in ("change", "points"):
        end = f'"{points}"' if kind == "points" else ""
        number = f"#,##0{decimals}{end}"
        return {"num_format": f"+{number};-{number};0{decimals}{end}"}
    if kind == "date":
        return {"num_format": "yyyy-mm-dd"}
    return {"text_wrap": True}


def _width(column: Column, rows: Sequence[dict[str, Any]]) -> float:
    """In signs of Latin script, between narrow and wide; a Chinese one takes two."""
    if column.kind == "date":
        return 12
    widest = max(_signs(word) for word in (*column.title.split(), "")) + 3
    if column.kind == "state":
        return max(widest, 18)
    for row in rows[:LOOKED_AT]:
        value = row.get(column.key)
        if isinstance(value, str):
            widest = max(widest, _signs(value) + 1)
        elif isinstance(value, (int, float)):
            widest = max(widest, len(f"{value:,.{column.digits}f}") + 2)
    return min(max(widest, NARROW), WIDE)


def _signs(text: str) -> int:
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)
