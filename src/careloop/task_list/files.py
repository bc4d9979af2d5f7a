"""The list as a file: CSV that Excel opens right, or a workbook."""

import csv
import re
from datetime import datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import xlsxwriter

from careloop.durable import put
from careloop.errors import SettingsError
from careloop.task_list.table import Row, headings
from careloop.task_list.words import words

FORMATS = ("csv", "xlsx")
# A cell that begins like this is a formula to a spreadsheet; a phone number is none.
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_PHONE = re.compile(r"^\+?[0-9][0-9 ()-]*$")
WIDTHS = {"say": 60, "about": 40, "rule": 28, "due": 17, "company_name": 24, "task": 14}


def write(found: list[Row], lang: str, form: str, path: Path) -> None:
    """Write the rows to a new file, readable to its owner only (0600); the file is complete or
    isn't there. Raises SettingsError when the folder is missing or can't be written to."""
    data = _workbook(found, lang) if form == "xlsx" else _csv(found, lang)
    try:
        put(path, data, 0o600)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}", "--output") from error


def _csv(found: list[Row], lang: str) -> bytes:
    columns = headings(found, lang)
    text = StringIO(newline="")
    out = csv.writer(text)
    out.writerow(columns.values())
    out.writerows([_cell(row.get(key)) for key in columns] for row in found)
    # With its mark Excel takes the file for UTF-8.
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _PHONE.match(text) else text


def _workbook(found: list[Row], lang: str) -> bytes:
    columns = headings(found, lang)
    data = BytesIO()
    with xlsxwriter.Workbook(data, {"in_memory": True}) as book:
        sheet = book.add_worksheet(words()["sheet"][lang])
        bold = book.add_format({"bold": True, "bottom": 1})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm", "valign": "top"})
        for column, (key, title) in enumerate(columns.items()):
            sheet.set_column(column, column, WIDTHS.get(key, 15))
            sheet.write_string(0, column, title, bold)
            for line, row in enumerate(found, 1):
                value = row.get(key)
                if isinstance(value, datetime):
                    sheet.write_datetime(line, column, value, moment)
                elif value is not None:
                    sheet.write_string(line, column, str(value), wrapped)
        sheet.freeze_panes(1, 1)
        sheet.autofilter(0, 0, max(len(found), 1), len(columns) - 1)
        sheet.set_landscape()
        sheet.fit_to_pages(1, 0)
    return data.getvalue()
