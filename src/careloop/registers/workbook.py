"""The registers as one workbook, written row by row and byte for byte the same."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import xlsxwriter

from careloop.errors import CareloopError
from careloop.program.registers import Register
from careloop.registers.rows import Line
from careloop.registers.words import choices, words
from careloop.sources.edits import receipt
from careloop.spreadsheet import (
    LAST_ROW,
    cell_format,
    cell_value,
    head_format,
    set_up_print,
    write_cell,
)

HIDDEN = "careloop"
TIMES = {"time", "submitted", "responded", "archived"}
DAYS = {"due", "cooperation_start", "last_interaction"}
NUMBERS = {"attitude", "speed", "efficiency"}
# In signs of Latin script; a Chinese one takes two.
WIDTHS = {
    "customer_id": 13,
    "company": 26,
    "customer": 24,
    "industry": 14,
    "contact": 10,
    "position": 12,
    "contact_details": 34,
    "cooperation_start": 13,
    "tags": 32,
    "history": 32,
    "last_interaction": 13,
    "ticket_id": 16,
    "description": 36,
    "result": 30,
    "content": 30,
    "feedback": 26,
    "item": 26,
    "advice": 36,
    "done": 22,
    "method": 14,
    "type": 14,
    "by": 11,
    "owner": 11,
    "progress": 13,
    "confirmation": 12,
    "due": 12,
}
CHOICES = {
    ("follow_ups", "method"): "follow_up_methods",
    ("tickets", "progress"): "progress",
    ("tickets", "confirmation"): "confirmations",
}
READ_BACK = ("follow_ups", "tickets")


class Workbook:
    """A workbook in the making; ``close`` writes it.

    lang: of headings and choices. made_at: what the file says of its making (UTC, naive).
    types: titles of ticket types, to choose from.
    """

    def __init__(
        self, path: Path, lang: str, subject: str, made_at: datetime, types: list[str]
    ) -> None:
        self.lang, self.subject, self.types = lang, subject, types
        self._book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
        self._book.set_properties({"title": subject, "author": "careloop", "created": made_at})
        font = cell_format(lang)
        self._head = self._book.add_format(head_format(lang))
        self._formats = {
            "text": self._book.add_format({**font, "text_wrap": True}),
            "time": self._book.add_format({**font, "num_format": "yyyy-mm-dd hh:mm"}),
            "day": self._book.add_format({**font, "num_format": "yyyy-mm-dd"}),
            "number": self._book.add_format({**font, "align": "center"}),
        }
        plain = {key: value for key, value in font.items() if not key.startswith("border")}
        self._empty = {
            "text": self._book.add_format({**plain, "text_wrap": True}),
            "time": self._book.add_format({**plain, "num_format": "yyyy-mm-dd hh:mm"}),
            "day": self._book.add_format({**plain, "num_format": "yyyy-mm-dd"}),
            "number": self._book.add_format({**plain, "align": "center"}),
        }

    def close(self) -> None:
        self._book.close()

    def add(self, register: Register, lines: Iterable[Line]) -> int:
        """Add a register as a sheet; returns the number of its rows. Raises CareloopError when
        there are more than a sheet holds."""
        headings = [getattr(column.title, self.lang) for column in register.columns]
        forms = [_form(column.id) for column in register.columns]
        sheet = self._book.add_worksheet(getattr(register.title, self.lang))
        read_back = register.id in READ_BACK
        width = len(headings)
        for index, column in enumerate(register.columns):
            wide = max(WIDTHS.get(column.id, 0), 18 if forms[index] == "time" else 10)
            sheet.set_column(index, index, wide, self._empty[forms[index]])
        if read_back:
            sheet.set_column(width, width, 12, None, {"hidden": True})
        sheet.set_row(0, 36)
        for index, heading in enumerate(headings):
            sheet.write_string(0, index, heading, self._head)
        if read_back:
            sheet.write_string(0, width, HIDDEN)
        number = 0
        for number, line in enumerate(lines, 1):
            if number > LAST_ROW:
                raise CareloopError(
                    f"the register {register.id} has more rows than a sheet holds ({LAST_ROW:,})",
                    "its mart has them all: `careloop sql`",
                )
            values = [cell_value(line.cells[column.id]) for column in register.columns]
            for index, value in enumerate(values):
                write_cell(sheet, number, index, value, self._formats[forms[index]])
            if read_back:
                cells = dict(zip(headings, values, strict=True))
                sheet.write_string(number, width, receipt(line.known, cells))
        self._finish(sheet, register, number, width if read_back else width - 1)
        return number

    def _finish(self, sheet: Any, register: Register, rows: int, last: int) -> None:
        """What the sheet offers: filters, choices, print set-up."""
        sheet.freeze_panes(1, 1)
        # The hidden column is within the filter, so that sorting takes it along.
        sheet.autofilter(0, 0, max(rows, 1), last)
        for index, column in enumerate(register.columns):
            kind = CHOICES.get((register.id, column.id))
            offered = choices(kind, self.lang) if kind else []
            if (register.id, column.id) == ("tickets", "type"):
                offered = self.types
            if offered:
                sheet.data_validation(
                    1, index, LAST_ROW, index,
                    {"validate": "list", "source": offered,
                     "error_message": words()["choose"][self.lang]},
                )  # fmt: skip
        set_up_print(sheet, self.subject, self.lang)


def _form(column: str) -> str:
    if column in TIMES:
        return "time"
    return "day" if column in DAYS else "number" if column in NUMBERS else "text"
