"""The work calendar of a pack: working days, holidays and festivals of any day.

Holidays and make-up working days come from the `holidays` library: official where they are
published, else the statutory days. Lunar festivals are computed for 1901 to 2099.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Literal, Self

import holidays
from lunar_python import Lunar, LunarYear, Solar
from pydantic import Field, model_validator

from careloop.errors import ProgramError
from careloop.program.base import (
    WEEKDAYS,
    Closed,
    Hours,
    Id,
    Mistake,
    Text,
    Weekday,
    minutes_of,
    refuse,
)

FIRST_YEAR, LAST_YEAR = 1901, 2099


class SpecialDay(Closed):
    """A single day that differs from the rule."""

    day: date = Field(description="The day.")
    title: Text = Field(description="Why.")


class NthWeekday(Closed):
    """E.g. the fourth Thursday of November."""

    month: Annotated[int, Field(ge=1, le=12)] = Field(description="Month.")
    weekday: Weekday = Field(description="Day of the week.")
    nth: Literal[1, 2, 3, 4, -1] = Field(description="1 is the first, -1 the last.")


class LunarDay(Closed):
    """A day of the Chinese calendar; never in a leap month."""

    month: Annotated[int, Field(ge=1, le=12)] = Field(description="Lunar month.")
    day: Annotated[int, Field(ge=1, le=30)] = Field(
        description="Day; 30 is the last day of a month of 29 days, too."
    )


class MonthDay(Closed):
    """A day of every year."""

    month: Annotated[int, Field(ge=1, le=12)] = Field(description="Month.")
    day: Annotated[int, Field(ge=1, le=31)] = Field(description="Day of the month.")

    @model_validator(mode="after")
    def _exists(self) -> Self:
        try:
            date(2023, self.month, self.day)  # 29 February does not come every year
        except ValueError:
            refuse([Mistake(("day",), self.day, f"is not in month {self.month} of every year")])
        return self


class Occasion(Closed):
    """A festival or business date: exactly one way to find its day."""

    id: Id = Field(description="Name in tables and rules.")
    title: Text = Field(description="Name people read.")
    kind: Literal["festival", "business"] = Field(description="Festival, or date of the trade.")
    fixed: MonthDay | None = Field(None, description="The same day every year.")
    lunar: LunarDay | None = Field(None, description="A day of the Chinese calendar.")
    nth_weekday: NthWeekday | None = Field(None, description="The nth weekday of a month.")
    solar_term: Literal["qingming"] | None = Field(None, description="A solar term.")
    dates: Annotated[list[date], Field(min_length=1)] | None = Field(
        None, description="Single days, e.g. of product launches."
    )

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = ("fixed", "lunar", "nth_weekday", "solar_term", "dates")
        given = [rule for rule in rules if getattr(self, rule) is not None]
        if len(given) != 1:
            refuse([Mistake((), given or None, "needs exactly one of these keys", rules)])
        return self


class WorkCalendar(Closed):
    """Working time of the service, in the program's zone."""

    country: str = Field(description="Country of the public holidays, as ISO 3166 code, e.g. CN.")
    subdivision: str | None = Field(None, description="Province or state, for its own holidays.")
    hours: dict[Weekday, Hours] = Field(
        description="Working hours per weekday; a weekday left out is free."
    )
    breaks: list[Hours] = Field(default=[], description="Breaks on every working day.")
    closed_on_holidays: bool = Field(description="Public holidays are free.")
    make_up_days: bool = Field(
        description="Weekend days officially worked in exchange for a holiday are worked here."
    )
    make_up_hours: Hours = Field(description="Hours of a make-up day on a free weekday.")
    closed_days: list[SpecialDay] = Field(default=[], description="Further free days.")
    open_days: list[SpecialDay] = Field(
        default=[], description="Further working days, with make_up_hours on free weekdays."
    )
    occasions: list[Occasion] = Field(description="Festivals and business dates.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mistakes = []
        countries = holidays.list_supported_countries()
        if self.country not in countries:
            mistakes.append(
                Mistake(
                    ("country",),
                    self.country,
                    "is not a known country code",
                    tuple(sorted(countries)),
                )
            )
        elif self.subdivision is not None and self.subdivision not in countries[self.country]:
            mistakes.append(
                Mistake(
                    ("subdivision",),
                    self.subdivision,
                    f"is not a subdivision of {self.country}",
                    tuple(countries[self.country]),
                )
            )
        if not self.hours:
            mistakes.append(Mistake(("hours",), {}, "needs at least one weekday", WEEKDAYS))
        ordered = sorted(range(len(self.breaks)), key=lambda i: minutes_of(self.breaks[i]))
        for before, after in pairwise(ordered):
            if minutes_of(self.breaks[after])[0] < minutes_of(self.breaks[before])[1]:
                mistakes.append(
                    Mistake(
                        ("breaks", after),
                        self.breaks[after],
                        f"overlaps the break {self.breaks[before]}",
                    )
                )
        closed = [special.day for special in self.closed_days]
        for i, special in enumerate(self.open_days):
            if special.day in closed:
                mistakes.append(
                    Mistake(("open_days", i, "day"), str(special.day), "is in closed_days, too")
                )
        refuse(mistakes)
        return self


@dataclass(frozen=True)
class CalendarDay:
    """One day. festival: the first of the pack's occasions on this day; weekday 1 is Monday."""

    date: date
    weekday: int
    is_workday: bool
    is_holiday: bool
    is_make_up_day: bool
    holiday_en: str | None
    holiday_zh: str | None
    festival: str | None
    festival_en: str | None
    festival_zh: str | None


def occasion_days(calendar: WorkCalendar, year: int) -> list[tuple[date, Occasion]]:
    """The days of a year that are occasions, by date, then in the order of the pack."""
    found = [(day, o) for o in calendar.occasions for day in _days_of(o, year)]
    return sorted(found, key=lambda pair: pair[0])


def calendar_days(calendar: WorkCalendar, first: date, last: date) -> list[CalendarDay]:
    """Every day from ``first`` to ``last``; raises ProgramError outside 1901 to 2099."""
    _in_range(first, last)
    years = range(first.year, last.year + 1)
    official = _holidays(calendar, years)
    names_en = _holidays(calendar, years, "en")
    names_zh = _holidays(calendar, years, "zh")
    make_up = official.weekend_workdays if calendar.make_up_days else set()
    closed = {special.day for special in calendar.closed_days}
    opened = {special.day for special in calendar.open_days}
    festivals: dict[date, Occasion] = {}
    for year in years:
        for day, occasion in occasion_days(calendar, year):
            festivals.setdefault(day, occasion)
    result = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        is_holiday = day in official
        is_make_up = day in make_up
        regular = WEEKDAYS[day.weekday()] in calendar.hours
        free = day in closed or (is_holiday and calendar.closed_on_holidays)
        works = day in opened or ((regular or is_make_up) and not free)
        festival = festivals.get(day)
        result.append(
            CalendarDay(
                date=day,
                weekday=day.isoweekday(),
                is_workday=works,
                is_holiday=is_holiday,
                is_make_up_day=is_make_up,
                holiday_en=names_en.get(day),
                holiday_zh=names_zh.get(day),
                festival=festival.id if festival else None,
                festival_en=festival.title.en if festival else None,
                festival_zh=festival.title.zh if festival else None,
            )
        )
    return result


def work_intervals(calendar: WorkCalendar, day: CalendarDay) -> list[tuple[datetime, datetime]]:
    """Working time of a day without its breaks, as local times; none on a free day."""
    if not day.is_workday:
        return []
    hours = calendar.hours.get(WEEKDAYS[day.weekday - 1], calendar.make_up_hours)
    opens, closes = minutes_of(hours)
    pieces = []
    for break_from, break_to in sorted(minutes_of(b) for b in calendar.breaks):
        if opens < break_from < closes:
            pieces.append((opens, break_from))
        if opens < break_to and break_from < closes:
            opens = max(opens, min(break_to, closes))
    if opens < closes:
        pieces.append((opens, closes))
    midnight = datetime.combine(day.date, time())
    return [(midnight + timedelta(minutes=a), midnight + timedelta(minutes=b)) for a, b in pieces]


def _holidays(
    calendar: WorkCalendar, years: range, language: str | None = None
) -> holidays.HolidayBase:
    """Holidays of the country, named in a language it is published in, else in its own."""
    spoken = holidays.country_holidays(calendar.country).supported_languages or ()
    wanted = [name for name in ("en_US", "zh_CN") if language and name.startswith(language)]
    wanted += [name for name in sorted(spoken) if language and name.startswith(language)]
    name = next((name for name in wanted if name in spoken), None)
    return holidays.country_holidays(
        calendar.country, subdiv=calendar.subdivision, years=years, language=name
    )


def _days_of(occasion: Occasion, year: int) -> list[date]:
    if occasion.fixed:
        return [date(year, occasion.fixed.month, occasion.fixed.day)]
    if occasion.nth_weekday:
        return [_nth_weekday(occasion.nth_weekday, year)]
    if occasion.solar_term:
        return [_qingming(year)]
    if occasion.lunar:
        # A lunar year reaches into the next solar one, so a solar year may meet two lunar ones.
        candidates = (_lunar_day(occasion.lunar, lunar) for lunar in (year - 1, year))
        return [day for day in candidates if day.year == year]
    return sorted(day for day in set(occasion.dates or ()) if day.year == year)


@cache
def _lunar_year(year: int) -> LunarYear:
    """Its months and solar terms; working one out takes as long as reading a pack."""
    return LunarYear(year)


def _solar(julian_day: float) -> date:
    solar = Solar.fromJulianDay(julian_day)
    return date(solar.getYear(), solar.getMonth(), solar.getDay())


def _lunar_day(rule: LunarDay, lunar_year: int) -> date:
    """A month has 29 or 30 days; of 29, the last one stands for the 30th."""
    month = _lunar_year(lunar_year).getMonth(rule.month)
    day = min(rule.day, month.getDayCount())
    return _solar(month.getFirstJulianDay()) + timedelta(days=day - 1)


def _nth_weekday(rule: NthWeekday, year: int) -> date:
    weekday = WEEKDAYS.index(rule.weekday)
    if rule.nth > 0:
        first = date(year, rule.month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (rule.nth - 1))
    following = date(year + rule.month // 12, rule.month % 12 + 1, 1)
    last = following - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def _qingming(year: int) -> date:
    """Pure Brightness, a solar term of the lunar year that begins in the same spring."""
    terms = _lunar_year(year).getJieQiJulianDays()
    return _solar(terms[Lunar.JIE_QI_IN_USE.index("清明")])


def _in_range(first: date, last: date) -> None:
    if last < first:
        raise ProgramError(f"the calendar's last day {last} is before its first day {first}")
    if not (first.year >= FIRST_YEAR and last.year <= LAST_YEAR):
        raise ProgramError(
            f"the calendar covers {FIRST_YEAR} to {LAST_YEAR}, not {first} to {last}",
            "look for impossible dates in the data, or ask for fewer days",
        )
