"""A review's words in both languages, and how figures read in them.

A section's texts are in ``sections/<name>.yml`` (key → en and zh), those every section uses in
``words.yml``. A text with ``one`` beside ``en`` reads so where its ``n`` is 1.
"""

from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from careloop.program.codes import code_text
from careloop.program.kpis import KPIS
from careloop.program.model import Program
from careloop.review.model import Column, Kind
from careloop.review.reader import Reader, Row

UNKNOWN = "–"
MINUS = "\N{MINUS SIGN}"
_NO_VALUE = ("(unknown)", "unknown", "", None)
# Decimals shown of a unit's values.
DIGITS = {"share": 1, "score_5": 2, "score_100": 1, "nps": 1, "days": 1, "hours": 1, "minutes": 1}


@cache
def texts(part: str) -> dict[str, dict[str, str]]:
    """The texts of a section, of the page, or of ``words`` for those of all."""
    folder = files("careloop.review")
    path = folder / f"{part}.yml" if part in ("page", "words") else folder / f"sections/{part}.yml"
    return yaml.safe_load(path.read_text("utf-8")) or {}


def words_of(reader: Reader, part: str) -> "Words":
    """The words of a section in the reader's language."""
    return Words(part, reader.language, reader.program)


class Words:
    """Says texts and figures. part: the section; language: en or zh."""

    def __init__(self, part: str, language: str, program: Program) -> None:
        self.part = part
        self.language = language
        self.program = program
        self.currency = program.currency

    def __call__(self, key: str, **values: Any) -> str:
        """A text of the section, or of all sections, with its values as they are."""
        entry = texts(self.part).get(key) or texts("words")[key]
        text = entry[self.language]
        if self.language == "en" and values.get("n") in (1, "1") and "one" in entry:
            text = entry["one"]
        return text.format(**values)

    # Figures

    def number(self, value: float | None, digits: int = 0) -> str:
        """12,345.6; a real minus; – for None."""
        if value is None:
            return UNKNOWN
        text = f"{float(value):,.{digits}f}"
        if not float(text.replace(",", "")):
            text = text.removeprefix("-")
        return text.replace("-", MINUS)

    def share(self, value: float | None, digits: int = 1) -> str:
        """0.123 → 12.3%."""
        return UNKNOWN if value is None else f"{self.number(100 * float(value), digits)}%"

    def money(self, value: float | None, digits: int = 0) -> str:
        """An amount in the program's currency, in full."""
        return UNKNOWN if value is None else self._amount(self.number(value, digits))

    def short_money(self, value: float | None) -> str:
        """An amount of three digits that matter: 1.23 M, 123 万."""
        return UNKNOWN if value is None else self._amount(self.short(value))

    def short(self, value: float | None) -> str:
        """A number of three digits that matter: 12.3 k, 1.23 万."""
        if value is None:
            return UNKNOWN
        steps = _STEPS[self.language]
        size, name = next((s for s in steps if abs(float(value)) >= s[0]), (1, ""))
        number = float(value) / size
        digits = max(0, 2 - len(f"{abs(number):.0f}") + 1) if size > 1 or number % 1 else 0
        text = self.number(number, digits)
        return f"{text} {name}".strip()

    def _amount(self, number: str) -> str:
        if self.language == "zh" and self.currency == "CNY":
            return f"{number} 元" if number[-1].isdigit() else f"{number}元"
        if self.currency in _SIGNS:
            sign = _SIGNS[self.currency]
            negative = number.startswith(MINUS)
            return f"{MINUS}{sign}{number[1:]}" if negative else f"{sign}{number}"
        return f"{number} {self.currency}"

    def days(self, value: float | None, digits: int = 0) -> str:
        """A number of days with its unit."""
        return self.value(value, "days", digits)

    def value(self, value: float | None, unit: str, digits: int | None = None) -> str:
        """A figure in a unit of ``careloop.program.kpis``, or number."""
        if value is None:
            return UNKNOWN
        if digits is None:
            digits = DIGITS.get(unit, 0)
        if unit == "share":
            return self.share(value, digits)
        if unit == "money":
            return self.money(value, digits)
        text = self.number(value, digits)
        entry = texts("words").get(f"unit_{unit}")
        return self(f"unit_{unit}", x=text, n=text) if entry else text

    def change(self, value: float | None, unit: str, digits: int | None = None) -> str:
        """A difference with its sign; of shares in percentage points."""
        if value is None:
            return UNKNOWN
        if unit == "share":
            places = 1 if digits is None else digits
            text = self("points", x=self.number(100 * float(value), places))
        else:
            text = self.value(value, unit, digits)
        is_none = not any(digit in text for digit in "123456789")
        return text if is_none or text.startswith(MINUS) else f"+{text}"

    def signed(self, value: float | None, unit: str, digits: int = 1) -> str:
        """A difference with its sign, without its unit."""
        if value is None:
            return UNKNOWN
        text = self.number(100 * float(value) if unit == "share" else value, digits)
        is_none = not any(digit in text for digit in "123456789")
        return text if is_none or text.startswith(MINUS) else f"+{text}"

    def relative(self, value: float | None, digits: int = 0) -> str:
        """A relative change with its sign: 0.25 → +25%."""
        if value is None:
            return UNKNOWN
        text = self.share(value, digits)
        return text if text.startswith(MINUS) or not value else f"+{text}"

    def cell(self, row: Row, column: Column) -> str:
        """What a cell of a table reads."""
        value = row.get(column.key)
        if value is None or column.kind in ("trend",):
            return UNKNOWN
        sign = row.get(f"{column.key}_sign")
        text = self.read(value, column.kind, column.digits, row.get("unit"))
        return f"{sign} {text}" if sign else text

    def read(self, value: Any, kind: Kind, digits: int = 0, unit: str | None = None) -> str:
        """A value of a kind of column. unit: of the row, for kinds by_unit and change."""
        if kind == "by_unit":
            return self.value(value, unit or "number")
        if kind == "change":
            return self.change(value, unit or "number", digits or None)
        if kind == "state":
            return self.state(str(value))
        if kind == "share":
            return self.share(value, digits)
        if kind == "money":
            return self.money(value, digits)
        if kind in ("number", "score"):
            return self.number(value, digits)
        if kind == "date":
            return self.date(value)
        return str(value)

    # Time

    def date(self, day: date | datetime) -> str:
        """2026-10-01, in both languages."""
        return f"{day:%Y-%m-%d}"

    def time(self, moment: datetime) -> str:
        """2026-10-01 08:30, in both languages."""
        return f"{moment:%Y-%m-%d %H:%M}"

    def period(self, first_day: date, kind: str) -> str:
        """A period in a sentence: Q3 2026, October 2026; 2026 年第 3 季度. kind year is rolling:
        first_day is its first."""
        quarter = (first_day.month + 2) // 3
        month = _MONTHS[first_day.month - 1]
        values = {"year": first_day.year, "quarter": quarter, "month": month, "day": first_day}
        return self(f"period_{kind}", m=first_day.month, **values)

    def short_period(self, first_day: date, kind: str) -> str:
        """A period on an axis: 2026Q3, 2026-10; both languages."""
        if kind == "quarter":
            return f"{first_day.year}Q{(first_day.month + 2) // 3}"
        return f"{first_day:%Y-%m-%d}" if kind == "week" else f"{first_day:%Y-%m}"

    # Names

    def state(self, state: str | None) -> str:
        """A state of a target, with its symbol: ✓ met."""
        return UNKNOWN if state is None else self(f"state_{state}")

    def kpi(self, name: str) -> str:
        """The title of a KPI; in English its id, readable."""
        if self.language == "zh":
            return KPIS[name].about_zh
        entry = texts("words").get(f"kpi_{name}")
        return entry["en"] if entry else name.replace("_", " ").capitalize()

    def dimension(self, name: str) -> str:
        """segment, stage, tier, region, owner, touchpoint, core."""
        return self(f"dimension_{name}")

    def member(self, dimension: str, value: str | None) -> str:
        """The title of a member of a dimension of KPIs; its id where it has none."""
        if value in _NO_VALUE:
            return self("unknown")
        if value == "(all)":
            return self("all")
        title = self._titles(dimension).get(str(value))
        if title is None and dimension == "touchpoint":
            return code_text("touchpoints", str(value), self.language)
        return title or str(value)

    def department(self, name: str | None) -> str | None:
        """The title of a department; its id where the program has none."""
        return None if name is None else self._titles("department").get(name, name)

    def code(self, kind: str, code: str | None) -> str | None:
        """A code of the CRM in words; kind as in ``careloop.program.codes``."""
        return None if code is None else code_text(kind, code, self.language)

    def members(self, dimension: str | None) -> list[str]:
        """The members of a dimension the program knows, in its order."""
        return list(self._titles(dimension or ""))

    def _titles(self, dimension: str) -> dict[str, str]:
        program = self.program
        known: dict[str, list[Any]] = {
            "segment": program.segments,
            "stage": program.stages,
            "tier": program.loyalty.tiers if program.loyalty else [],
            "touchpoint": program.touchpoints,
            "department": program.departments,
        }
        if dimension == "core":
            return {"core": self("core"), "other": self("not_core")}
        titled = known.get(dimension, [])
        return {item.id: getattr(item.title, self.language) for item in titled}

    def listing(self, parts: list[str]) -> str:
        """Parts as a list in a sentence: a, b and c."""
        if len(parts) < 2:
            return "".join(parts)
        return self("comma").join(parts[:-1]) + self("and") + parts[-1]


_STEPS = {
    "en": ((1e9, "bn"), (1e6, "M"), (1e3, "k")),
    "zh": ((1e8, "亿"), (1e4, "万")),
}
_SIGNS = {"CNY": "¥", "EUR": "€", "GBP": "£", "USD": "$"}
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
