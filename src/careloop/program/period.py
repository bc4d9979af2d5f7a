"""Periods that are judged: a quarter (2026Q3) or a month (2026-10)."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from careloop.errors import SettingsError
from careloop.program.dates import months_after

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
        return _period(self.kind, months_after(self.first_day, -_MONTHS[self.kind]))

    @property
    def next(self) -> "Period":
        """The period after, of the same kind."""
        return _period(self.kind, self.end_day)

    def is_ahead(self, as_of: datetime) -> bool:
        """Whether no day of it was over at a local time."""
        return as_of.date() <= self.first_day

    def until(self, as_of: datetime) -> date:
        """The first local day after what is seen of it at a local time."""
        return min(self.end_day, as_of.date())


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
    return _period(kind, months_after(day.replace(day=1), -months)).previous


def _period(kind: Literal["quarter", "month"], first_day: date) -> Period:
    return Period(kind, first_day, months_after(first_day, _MONTHS[kind]))
