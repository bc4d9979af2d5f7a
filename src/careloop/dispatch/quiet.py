"""Quiet hours at the moment before sending: what is late must not wake anybody up."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from careloop.ledger.messages import Message
from careloop.program.model import Program


class QuietHours:
    """The program's quiet hours. They hold for messages, not for tasks; one that a program would
    rather drop waits, too, until it expires."""

    def __init__(self, program: Program) -> None:
        self._rules = program.quiet_hours
        self._zone = ZoneInfo(program.zone)
        self._starts = time.fromisoformat(self._rules.starts)
        self._ends = time.fromisoformat(self._rules.ends)

    def over(self, message: Message, now: datetime) -> datetime | None:
        """When the quiet hours that ``now`` lies in are over for the message; None if it may go.
        Times are UTC without zone."""
        rules = self._rules
        if message.kind == "task" or message.purpose in rules.exempt_purposes:
            return None
        if rules.channels and message.channel not in rules.channels:
            return None
        local = now.replace(tzinfo=UTC).astimezone(self._zone)
        clock, overnight = local.time(), self._starts > self._ends
        inside = (
            clock >= self._starts or clock < self._ends
            if overnight
            else self._starts <= clock < self._ends
        )
        if not inside:
            return None
        day = local.date() + timedelta(days=overnight and clock >= self._starts)
        end = datetime.combine(day, self._ends, self._zone)
        return end.astimezone(UTC).replace(tzinfo=None)
