"""How many requests one sender may make: a bucket of tokens that fills up evenly."""

import threading
from collections import OrderedDict
from math import ceil

SENDERS = 10_000


class Buckets:
    """``burst`` requests at once and ``per_second`` in the long run for each sender. The senders
    remembered are limited, those longest quiet are forgotten."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._burst = burst
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, sender: str, now: float) -> int:
        """0 if the sender may go on, else after how many seconds. ``now``: a growing clock."""
        with self._lock:
            tokens, at = self._seen.pop(sender, (float(self._burst), now))
            tokens = min(self._burst, tokens + (now - at) * self._rate)
            allowed = tokens >= 1
            self._seen[sender] = (tokens - 1 if allowed else tokens, now)
            while len(self._seen) > SENDERS:
                self._seen.popitem(last=False)
            return 0 if allowed else max(1, ceil((1 - tokens) / self._rate))
