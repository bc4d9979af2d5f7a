"""Building blocks of a pack: closed models, two-language text, durations, times of day."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,59}$")]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]+$")
]

Purpose = Literal["service", "care", "marketing", "survey"]
Channel = Literal[
    "app",
    "push",
    "mini_program",
    "wecom",
    "community",
    "live",
    "article",
    "sms",
    "email",
    "call",
    "online",
    "visit",
]
Role = Literal[
    "automatic",
    "account_manager",
    "sales_rep",
    "service",
    "win_back_team",
    "response_group",
    "supervisor",
    "department_head",
]
Urgency = Literal["urgent", "general", "suggestion"]
Level = Literal["low", "medium", "high"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Period = Literal["day", "week", "month", "quarter", "half_year", "year"]
WEEKDAYS: tuple[str, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Closed(BaseModel):
    """A model that refuses keys it does not know and never converts one type into another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Text(Closed):
    """A text in both languages of the interface."""

    en: Line = Field(description="English text.")
    zh: Line = Field(description="Chinese text.")


def language(locale: str) -> str:
    """The language of a ``Text`` for a locale: ``zh`` or ``en``."""
    return "zh" if locale.lower().startswith("zh") else "en"


@dataclass
class Mistake:
    """One thing wrong in a pack. loc: keys and list positions from where it is checked."""

    loc: tuple[str | int, ...]
    value: Any
    message: str
    allowed: tuple[str, ...] = ()


def refuse(mistakes: list[Mistake]) -> None:
    """Raise pydantic's error with one line per mistake, each at its own path; none: return."""
    if not mistakes:
        return
    raise ValidationError.from_exception_data(
        "pack",
        [
            InitErrorDetails(type=_custom(m.message, m.allowed), loc=m.loc, input=m.value)
            for m in mistakes
        ],
    )


def wrong(message: str, allowed: tuple[str, ...] = ()) -> PydanticCustomError:
    """The error a single-value check raises; its path is the value's own."""
    return _custom(message, allowed)


def _custom(message: str, allowed: tuple[str, ...]) -> PydanticCustomError:
    return PydanticCustomError("pack", "{message}", {"message": message, "allowed": list(allowed)})


DURATION_UNITS = {
    "s": "second",
    "m": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "mo": "month",
    "q": "quarter",
    "y": "year",
    "wd": "working day",
}
_DURATION = re.compile(r"^([1-9][0-9]{0,4})(s|m|h|d|w|mo|q|y|wd)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DAYS = {"d": 1, "w": 7, "mo": 30, "q": 91, "y": 365}


def _duration(value: str) -> str:
    if not _DURATION.match(value):
        raise wrong(
            "is not a duration: a whole number above 0 and a unit, e.g. 10m, 24h, 7d, 3wd",
            tuple(f"{unit} ({name})" for unit, name in DURATION_UNITS.items()),
        )
    return value


Duration = Annotated[str, AfterValidator(_duration)]


def split_duration(value: str) -> tuple[int, str]:
    """Amount and unit of a duration: ``3wd`` is ``(3, "wd")``."""
    match = _DURATION.match(value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration")
    return int(match[1]), match[2]


def duration_seconds(value: str) -> int | None:
    """Seconds of a duration in s, m, h, d or w; None where the length depends on the calendar
    (months, quarters, years, working days)."""
    amount, unit = split_duration(value)
    return amount * _SECONDS[unit] if unit in _SECONDS else None


def rough_days(value: str) -> float:
    """About how many days a duration is, to compare and sort; a month counts 30."""
    amount, unit = split_duration(value)
    if unit in ("s", "m", "h"):
        return amount * _SECONDS[unit] / 86400
    return amount * (7 / 5 if unit == "wd" else _DAYS[unit])


_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_HOURS = re.compile(rf"^({_CLOCK})-({_CLOCK}|24:00)$")


def _time(value: str) -> str:
    if not re.match(rf"^{_CLOCK}$", value):
        raise wrong("is not a time of day; write HH:MM, from 00:00 to 23:59")
    return value


def _hours(value: str) -> str:
    if not _HOURS.match(value):
        raise wrong("are not hours; write HH:MM-HH:MM, from 00:00 to 24:00, e.g. 09:00-18:00")
    opens, closes = value.split("-")
    if opens >= closes:
        raise wrong("end before they begin; the first time must be the earlier one")
    return value


TimeOfDay = Annotated[str, AfterValidator(_time)]
Hours = Annotated[str, AfterValidator(_hours)]


def minutes_of(hours: str) -> tuple[int, int]:
    """Opening and closing as minutes after midnight: ``09:00-18:00`` is ``(540, 1080)``."""
    opens, closes = (int(t[:2]) * 60 + int(t[3:]) for t in hours.split("-"))
    return opens, closes


def repeated(values: list[str]) -> list[int]:
    """Positions of values that stood earlier in the list."""
    return [i for i, value in enumerate(values) if value in values[:i]]
