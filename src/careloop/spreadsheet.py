"""How workbooks look and what may stand in their cells."""

import re
from datetime import date
from decimal import Decimal
from typing import Any

FONTS = {"zh": "Microsoft YaHei", "en": "Calibri"}
A4 = 9
LAST_ROW = 1_048_575
LONGEST = 32_000  # a cell of Excel holds 32,767 signs
PAGES = {"en": "Page &P of &N", "zh": "第 &P 页，共 &N 页"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")


def cell_format(language: str) -> dict[str, Any]:
    """What every cell of a table has: font, thin grey lines."""
    return {
        "font_name": FONTS[language],
        "font_size": 10,
        "valign": "top",
        "border": 1,
        "border_color": "#BFBFBF",
    }


def head_format(language: str) -> dict[str, Any]:
    """What the headings of a table have."""
    return {
        **cell_format(language),
        "bold": True,
        "bg_color": "#D9E2F3",
        "align": "center",
        "valign": "vcenter",
        "text_wrap": True,
    }


def cell_value(value: Any) -> Any:
    """What goes into a cell: what cannot stand there is left out."""
    if isinstance(value, Decimal):
        return float(value)
    if not isinstance(value, str):
        return value
    text = _CONTROL.sub("", value.replace("\r\n", "\n"))
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def write_cell(sheet: Any, row: int, column: int, value: Any, form: Any) -> None:
    """Write a value as what it is: a text never is a formula."""
    if isinstance(value, date):
        sheet.write_datetime(row, column, value, form)
    elif isinstance(value, (int, float)):
        sheet.write_number(row, column, value, form)
    elif value is None:
        sheet.write_blank(row, column, None, form)
    else:
        sheet.write_string(row, column, value, form)


def set_up_print(sheet: Any, subject: str, language: str) -> None:
    """A4 landscape, one page wide, headings on every page."""
    sheet.set_landscape()
    sheet.set_paper(A4)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_margins(0.4, 0.4, 0.7, 0.6)
    sheet.set_header(f"&L&A&R{subject.replace('&', '&&')}")
    sheet.set_footer(f"&C{PAGES[language]}")
