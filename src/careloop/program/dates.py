"""Days of care rules: anniversaries, turns, windows, expiries. Pure functions of their arguments.

Days are those of the program's zone; moments are UTC without zone, as everywhere in the data.
"""

import hashlib
from calendar import isleap, monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from careloop.program.base import duration_seconds, split_duration
from careloop.program.calendar import CalendarDay, WorkCalendar, calendar_days, work_intervals

EPOCH = date(1970, 1, 1)
MONTHS = {"mo": 1, "q": 3, "y": 12}
_DAYS = {"d": 1, "w": 7}
NO_HOURS = time(18)


@dataclass
class WorkDays:
    """Working days of a calendar; each year is worked out once."""

    calendar: WorkCalendar
    _years: dict[int, dict[date, CalendarDay]] = field(default_factory=dict, repr=False)

    def day(self, day: date) -> CalendarDay:
        if day.year not in self._years:
            first, last = date(day.year, 1, 1), date(day.year, 12, 31)
            self._years[day.year] = {d.date: d for d in calendar_days(self.calendar, first, last)}
        return self._years[day.year][day]

    def nth_after(self, day: date, count: int) -> date:
        """The ``count``-th working day after ``day``, which does not count itself."""
        while count:
            day += timedelta(days=1)
            count -= self.day(day).is_workday
        return day

    def closes(self, day: date) -> datetime:
        """End of the day's working time, local; 18:00 where it has none."""
        spans = work_intervals(self.calendar, self.day(day))
        return spans[-1][1] if spans else datetime.combine(day, NO_HOURS)


@dataclass(frozen=True)
class Window:
    """When something may be done. came_up_on: local day; opens, expires: UTC, expires excluded."""

    came_up_on: date
    opens: datetime
    expires: datetime


def anniversaries(
    of: date, first: date, last: date, *, any_year: bool = False
) -> Iterator[tuple[date, int]]:
    """Days from ``first`` to ``last`` on which ``of`` comes round, with the years since. The day
    itself is none, unless any_year: birthdays are often recorded without a true year. 29 February
    is kept on 28 February of other years."""
    for year in range(first.year if any_year else max(first.year, of.year + 1), last.year + 1):
        leap_day = (of.month, of.day) == (2, 29) and not isleap(year)
        day = date(year, 2, 28) if leap_day else of.replace(year=year)
        if first <= day <= last:
            yield day, year - of.year


def turn_number(rule: str, customer_id: str) -> int:
    """Where in a cadence a customer's turns lie: 0 up to 2^32, the same for ever."""
    return int(hashlib.md5(f"turn|{rule}|{customer_id}".encode()).hexdigest()[:8], 16)


def turn_start(rule: str, customer_id: str, every: str, on: date) -> date:
    """First day of the turn that ``on`` belongs to.

    Days and weeks: the last day s for which days since 1970-01-01 modulo the length is the
    customer's. Months, quarters, years: periods are counted from year 0; the turn starts that
    many days (below 28 a month) after the period does.
    """
    amount, unit = split_duration(every)
    number = turn_number(rule, customer_id)
    if unit in _DAYS:
        length = amount * _DAYS[unit]
        return on - timedelta(days=((on - EPOCH).days - number) % length)
    months = amount * MONTHS[unit]
    period = (on.year * 12 + on.month - 1) // months * months
    offset = timedelta(days=number % (28 * months))
    start = _first_of(period) + offset
    return start if start <= on else _first_of(period - months) + offset


def turns(rule: str, customer_id: str, every: str, first: date, last: date) -> list[date]:
    """Starts of the turns from ``first`` to ``last``."""
    found = []
    start = turn_start(rule, customer_id, every, last)
    while start >= first:
        found.append(start)
        start = turn_start(rule, customer_id, every, start - timedelta(days=1))
    return found[::-1]


def _first_of(month: int) -> date:
    return date(month // 12, month % 12 + 1, 1)


def day_after(day: date, duration: str, work: WorkDays) -> date:
    """The day a duration of days, weeks, months, quarters, years or working days later. From the
    end of a long month a shorter one's last day: 31 January + 1mo is 28 or 29 February."""
    amount, unit = split_duration(duration)
    if unit == "wd":
        return work.nth_after(day, amount)
    if unit in _DAYS:
        return day + timedelta(days=amount * _DAYS[unit])
    if unit not in MONTHS:
        raise ValueError(f"{duration} is shorter than a day")
    return months_after(day, amount * MONTHS[unit])


def day_before(day: date, duration: str) -> date:
    """The day a duration of days to years earlier; months as in ``day_after``."""
    amount, unit = split_duration(duration)
    if unit in _DAYS:
        return day - timedelta(days=amount * _DAYS[unit])
    if unit not in MONTHS:
        raise ValueError(f"{duration} is not in days of the calendar")
    return months_after(day, -amount * MONTHS[unit])


def months_after(day: date, months: int) -> date:
    """The day so many months later, at the latest the last of that month."""
    month = day.year * 12 + day.month - 1 + months
    year, month = month // 12, month % 12 + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))


def utc_of(local: datetime, zone: str) -> datetime:
    """A local time in UTC. One that daylight saving skips is the moment of the change; of one
    that comes twice the first."""
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def local_of(at: datetime, zone: str) -> datetime:
    """A UTC time in the zone, without saying so."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def start_of(day: date, zone: str) -> datetime:
    """Local midnight the day begins with, in UTC."""
    return utc_of(datetime.combine(day, time()), zone)


def end_of(day: date, zone: str) -> datetime:
    """Local midnight the day ends with, in UTC."""
    return start_of(day + timedelta(days=1), zone)


def deadline(at: datetime, duration: str, zone: str, work: WorkDays) -> datetime:
    """The latest moment (UTC) a duration after ``at`` (UTC): hours and less exactly; days to
    months the end of the day reached; working days the end of that day's working time."""
    seconds = duration_seconds(duration)
    unit = split_duration(duration)[1]
    if unit in ("s", "m", "h") and seconds is not None:
        return at + timedelta(seconds=seconds)
    day = day_after(local_of(at, zone).date(), duration, work)
    return utc_of(work.closes(day), zone) if unit == "wd" else end_of(day, zone)


def moment_after(at: datetime, duration: str) -> datetime:
    """``at`` a duration later, where a day has 24 hours; months keep day and time of day. Working
    days are refused with ValueError."""
    seconds = duration_seconds(duration)
    if seconds is not None:
        return at + timedelta(seconds=seconds)
    amount, unit = split_duration(duration)
    if unit not in MONTHS:
        raise ValueError(f"{duration} is in working days")
    return datetime.combine(months_after(at.date(), amount * MONTHS[unit]), at.time())


def event_window(at: datetime, after: str | None, until: str, zone: str, work: WorkDays) -> Window:
    """When something may follow an event of ``at`` (UTC). A delay in days ends with the midnight
    that begins the day reached."""
    opens = at
    if after:
        if split_duration(after)[1] in ("s", "m", "h"):
            opens = deadline(at, after, zone, work)
        else:
            opens = start_of(day_after(local_of(at, zone).date(), after, work), zone)
    return Window(local_of(opens, zone).date(), opens, deadline(at, until, zone, work))


def day_window(came_up_on: date, expires_after: str, zone: str, work: WorkDays) -> Window:
    """When something that came up on a day may be done: ``1d`` is that day only, ``1w`` seven
    days with it; working days count from the day after."""
    opens = start_of(came_up_on, zone)
    if split_duration(expires_after)[1] in (*_DAYS, *MONTHS):
        return Window(came_up_on, opens, start_of(day_after(came_up_on, expires_after, work), zone))
    return Window(came_up_on, opens, deadline(opens, expires_after, zone, work))
