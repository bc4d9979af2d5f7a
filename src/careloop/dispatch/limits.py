"""How fast a channel may be used, and how often a message is tried."""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from careloop.errors import SettingsError
from careloop.settings import Settings

RATE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(s|m|h)\s*$")
SECONDS = {"s": 1, "m": 60, "h": 3600}
BATCH = 500
# A sleep that is a little long must not slow the channel down for good.
SLACK_SECONDS = 0.05


@dataclass(frozen=True)
class Limits:
    """Limits of one channel. rate: messages per second, None is unlimited. tries: failures after
    which a message is given up. backoff, longest_backoff: seconds before the second try, doubled
    each time, up to the longest. lease: seconds a worker may hold a message."""

    rate: float | None = None
    tries: int = 5
    backoff: float = 60
    longest_backoff: float = 6 * 3600
    lease: float = 600
    batch: int = BATCH

    @property
    def batch_size(self) -> int:
        """As many as go in a minute: consent is read once for them."""
        return self.batch if self.rate is None else max(1, min(self.batch, int(self.rate * 60)))


def limits_of(settings: Settings, route: str) -> Limits:
    """The limits of a channel from its options ``rate`` (such as ``10/s``, ``600/m``) and
    ``tries``; raises SettingsError."""
    options = settings.channels.get(route, {})
    where = f"channels.{route}"
    rate, tries = options.get("rate"), options.get("tries", Limits.tries)
    if type(tries) is not int or tries < 1:
        raise SettingsError(f"{where}.tries is {tries!r}", "write a whole number from 1, e.g. 5")
    if rate is None:
        return Limits(tries=tries)
    match = RATE.match(str(rate))
    if match is None or float(match[1]) == 0:
        raise SettingsError(f"{where}.rate is {rate!r}", 'write it like "10/s", "600/m" or "500/h"')
    return Limits(rate=float(match[1]) / SECONDS[match[2]], tries=tries)


def backoff_seconds(limits: Limits, message_id: str, attempt: int) -> float:
    """Seconds before the next try: doubled each time, times 0.5 to 1.5 by the message, so that
    what failed together doesn't come back together."""
    digest = hashlib.sha256(f"{message_id}|{attempt}".encode()).digest()
    jitter = 0.5 + int.from_bytes(digest[:4], "big") / 2**32
    return min(limits.longest_backoff, limits.backoff * 2 ** (attempt - 1) * jitter)


class Pace:
    """Keeps messages at least 1/rate seconds apart, on a clock that only goes forward."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / rate if rate else 0.0
        self._clock = clock
        self._next = 0.0

    def seconds_to_wait(self) -> float:
        """Seconds until the next message may go; 0 is now."""
        return max(0.0, self._next - self._clock()) if self._gap else 0.0

    def spend(self) -> None:
        """One message goes."""
        if self._gap:
            self._next = max(self._next, self._clock() - SLACK_SECONDS) + self._gap
