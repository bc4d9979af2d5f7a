"""What was edited in a workbook careloop wrote: each row carries its key and, for every cell, a
fingerprint of what stood there, as JSON in a hidden column.

``{"is": {"ticket_id": "T1", …}, "cells": {"h1f…": "8 hex digits", …}}``: canonical values the row
stands for, and fingerprints under names made of the headings.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime

from careloop.warehouse import literal, quote

DIGITS = 8
_BLANKS = r"[ \t\r\n]+"
_MIDNIGHT = r" 00:00(:00)?(\.0+)?$"


def receipt(known: Mapping[str, object], cells: Mapping[str, object]) -> str:
    """The hidden cell of a row. known: canonical values; cells: what is written, by heading."""
    marks = {_name(heading): fingerprint(value) for heading, value in cells.items()}
    return json.dumps(
        {"is": dict(known), "cells": marks}, ensure_ascii=False, separators=(",", ":")
    )


def fingerprint(value: object) -> str:
    """Of a cell as it will be read again: blanks count once, midnight is the day."""
    text = value.isoformat(" ") if isinstance(value, datetime) else _text(value)
    text = re.sub(_MIDNIGHT, "", re.sub(_BLANKS, " ", text))
    return hashlib.md5(text.strip(" ").encode(), usedforsecurity=False).hexdigest()[:DIGITS]


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)


def _name(heading: str) -> str:
    return "h" + hashlib.md5(heading.encode(), usedforsecurity=False).hexdigest()[:DIGITS]


def receipt_sql(column: str) -> str:
    """SQL of the hidden cell as JSON; null for a row somebody added."""
    cell = f"{quote(column)}::varchar"
    return f"case when json_valid({cell}) then {cell} end"


def known_sql(column: str, canonical: str) -> str:
    """SQL of the canonical value a row stands for; null if it says none."""
    path = literal(f"$.is.{canonical}")
    return f"json_extract_string({receipt_sql(column)}, {path})"


def edited_sql(column: str, headings: Iterable[str]) -> str:
    """SQL that is true where one of the cells differs from what careloop wrote."""
    tests = [
        f"{_fingerprint_sql(heading)} is distinct from "
        f"json_extract_string({receipt_sql(column)}, {literal(f'$.cells.{_name(heading)}')})"
        for heading in headings
    ]
    return f"({' or '.join(tests)})" if tests else "false"


def _fingerprint_sql(heading: str) -> str:
    text = f"regexp_replace(coalesce({quote(heading)}::varchar, ''), '{_BLANKS}', ' ', 'g')"
    return f"left(md5(trim(regexp_replace({text}, '{_MIDNIGHT}', ''))), {DIGITS})"
