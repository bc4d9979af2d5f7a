"""Periods of a review: a quarter (2026Q3) or a month (2026-10)."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Literal

from careloop.errors import SettingsError

_QUARTER = re.compile(r"(\d{4})-?[Qq]([1-4])")
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Period:
    """A quarter or a month. first_day is its first local day, end_day the day after its last."""

    kind: Literal["quarter", "month"]
    first_day: date
    end_day: date

    @property
    def name(self) -> str:
        """2026Q3 or 2026-10."""
        if self.kind == "quarter":
            return f"{self.first_day.year}Q{(self.first_day.month + 2) // 3}"
        return f"{self.first_day:%Y-%m}"

    @property
    def previous(self) -> "Period":
        """The period before, of the same kind."""
        return _period(self.kind, _plus_months(self.first_day, -_MONTHS[self.kind]))


_MONTHS = {"quarter": 3, "month": 1}


def parse_period(text: str) -> Period:
    """The period a text such as 2026Q3 or 2026-10 names. Raises SettingsError otherwise."""
    if match := _QUARTER.fullmatch(text.strip()):
        year, quarter = int(match[1]), int(match[2])
        return _period("quarter", date(year, 3 * quarter - 2, 1))
    if match := _MONTH.fullmatch(text.strip()):
        return _period("month", date(int(match[1]), int(match[2]), 1))
    raise SettingsError(
        f"`{text}` is no period", "write a quarter like 2026Q3, or a month like 2026-10"
    )


def last_period(kind: Literal["quarter", "month"], day: date) -> Period:
    """The last period of a kind that was over when ``day`` began."""
    months = (day.month - 1) % _MONTHS[kind]
    return _period(kind, _plus_months(day.replace(day=1), -months)).previous


def _period(kind: Literal["quarter", "month"], first_day: date) -> Period:
    return Period(kind, first_day, _plus_months(first_day, _MONTHS[kind]))


def _plus_months(day: date, months: int) -> date:
    month = day.year * 12 + day.month - 1 + months
    return date(month // 12, month % 12 + 1, 1)
