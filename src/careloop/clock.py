"""The one clock. Everything else receives ``as_of``; only this module reads the time of day."""

from collections.abc import Callable
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from careloop.errors import SettingsError


def now() -> datetime:
    """The time of day, in UTC to the second. Results never depend on it: a run takes its default
    ``as_of`` from it, dispatch its moment, and logs of what people do their time."""
    return datetime.now(UTC).replace(microsecond=0)


def start_of_day(zone: str, moment: datetime | None = None) -> datetime:
    """Midnight, in ``zone``, of the day ``moment`` falls on; of today if None."""
    local = (moment or now()).astimezone(ZoneInfo(zone))
    return datetime.combine(local.date(), time(), ZoneInfo(zone))


def parse_as_of(text: str | None, zone: str) -> datetime:
    """``2026-11-22`` or ``2026-11-22T08:00`` as a time in ``zone``; None is today's start."""
    if not text:
        return start_of_day(zone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"as_of {text!r} is no date", "write it like 2026-11-22 or 2026-11-22T08:00"
        ) from error
    info = ZoneInfo(zone)
    return moment.astimezone(info) if moment.tzinfo else moment.replace(tzinfo=info)


def parse_moment(text: str | None, zone: str, moment: datetime | None = None) -> datetime:
    """The same as ``parse_as_of``, but None is the minute of ``moment``; of now if None."""
    if text:
        return parse_as_of(text, zone)
    return (moment or now()).astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0)


def clock_at(text: str | None) -> Callable[[], datetime]:
    """A clock that stands at ``text`` (UTC unless it has a zone); the time of day if None."""
    if text is None:
        return now
    moment = parse_as_of(text, "UTC").astimezone(UTC)
    return lambda: moment
