"""What the channels of one dispatch share: the ledger, the clock, the counts and the orders."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from careloop.channels.base import Rendered
from careloop.ledger.database import Ledger, utc
from careloop.ledger.messages import Message
from careloop.program.model import Program
from careloop.settings import Settings


class RenderProblem(Protocol):
    """Why a message can't be written; reason holds no personal data."""

    @property
    def reason(self) -> str: ...


RenderBatch = Callable[[Sequence[Message]], Mapping[str, Rendered | RenderProblem]]
# done, of how many, done by route.
Progress = Callable[[int, int, Mapping[str, int]], None]


@dataclass
class Desk:
    """Shared by the threads of one dispatch, one for each channel.

    stops: orders to stop that were given before this dispatch began. most: messages handed over
    at most. quit: set from outside (a signal) to end after the messages in flight.
    """

    settings: Settings
    program: Program
    ledger: Ledger
    render: RenderBatch
    clock: Callable[[], datetime]
    salt: str
    stops: int
    watch: bool = False
    most: int | None = None
    quit: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    total: int = 0
    halted: str | None = None
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    rests: dict[str, str] = field(default_factory=dict)
    # Rendering and reading consents use DuckDB and templates, one batch at a time.
    reading: threading.Lock = field(default_factory=threading.Lock)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _begun: int = 0
    _done: Counter[str] = field(default_factory=Counter)

    def now(self) -> datetime:
        """The moment, in UTC without zone."""
        return utc(self.clock())

    def may_begin(self) -> bool:
        """Take one of the messages that may still be handed over."""
        with self._lock:
            if self.most is not None and self._begun >= self.most:
                return False
            self._begun += 1
            return True

    def give_back(self) -> None:
        """A message that was taken was not begun after all."""
        with self._lock:
            self._begun -= 1

    @property
    def is_full(self) -> bool:
        """Whether as many were handed over as may be."""
        return self.most is not None and self._begun >= self.most

    def count(self, route: str, what: str, *, is_done: bool = True) -> None:
        """Count what became of one message; tell the progress unless it will come again."""
        with self._lock:
            self.counts.setdefault(route, Counter())[what] += 1
            if is_done:
                self._done[route] += 1
            done, by_route = self._done.total(), dict(self._done)
            if self.progress:
                self.progress(done, max(self.total, done), by_route)
