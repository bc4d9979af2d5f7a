"""One dispatch: every channel on a thread of its own, so that none waits for another."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime

from careloop.channels.base import Channel
from careloop.dispatch.desk import Desk, Progress, RenderBatch
from careloop.dispatch.limits import Limits, limits_of
from careloop.dispatch.route import Route
from careloop.ledger import controls
from careloop.ledger.database import Ledger, utc
from careloop.ledger.messages import expire, waiting
from careloop.ledger.mirror import refuse_older_ledger
from careloop.program.model import Program
from careloop.settings import Settings

LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Summary:
    """What one dispatch did. counts: by route, how many messages were sent, failed, unknown,
    suppressed, expired, or are to come again (``again``; ``resent`` after a crash). resting: until
    when a channel is left alone (UTC). halted: paused, stopped or interrupted. left: still due."""

    counts: Mapping[str, Mapping[str, int]]
    resting: Mapping[str, str]
    halted: str | None
    left: Mapping[str, int]
    seconds: float

    def of(self, what: str) -> int:
        """How many messages of all routes became ``what``."""
        return sum(counts.get(what, 0) for counts in self.counts.values())


def dispatch(
    settings: Settings,
    program: Program,
    channels: Mapping[str, Channel],
    render: RenderBatch,
    now: Callable[[], datetime],
    ledger: Ledger,
    *,
    limits: Mapping[str, Limits] | None = None,
    most: int | None = None,
    watch: bool = False,
    quit: threading.Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Carry out what is due on ``channels`` (by route: a channel's name, or ``task``).

    render: writes a batch of messages with the customers' data; called by one thread at a time.
    now: the time of day. limits: by route; the settings' otherwise. most: messages handed over at
    most. watch: go on until told to stop. quit: set it to end after the messages in flight.

    Several dispatches may run at once, on several machines: a message is held by one of them,
    its intent is committed before the channel is asked, and what a dead one left behind becomes
    ``unknown``, asked for again only where the provider recognises it. Raises CareloopError when
    the ledger is older than its mirror.
    """
    started = time.monotonic()
    refuse_older_ledger(ledger, settings)
    routes = sorted(channels)
    moment = utc(now())
    with ledger.write() as con:
        stops = controls.stops(con)
    late = _expire_all(ledger, moment)
    with ledger.read() as con:
        total = sum(waiting(con, moment, routes).values())
    desk = Desk(settings, program, ledger, render, now, ledger.fact("salt"), stops)
    desk.watch, desk.most, desk.progress, desk.total = watch, most, progress, total + len(late)
    desk.quit = quit or desk.quit
    for route in late:
        desk.count(route, "expired")
    _run_all(
        desk,
        [
            Route(desk, name, channels[name], (limits or {}).get(name) or limits_of(settings, name))
            for name in routes
        ],
    )
    with ledger.read() as con:
        left = waiting(con, utc(now()), routes)
    return Summary(
        {route: dict(counts) for route, counts in sorted(desk.counts.items())},
        dict(desk.rests),
        "interrupted" if desk.quit.is_set() else desk.halted,
        left,
        round(time.monotonic() - started, 3),
    )


def _expire_all(ledger: Ledger, now: datetime) -> list[str]:
    """End everything that is late, some thousand a transaction, before anything is sent."""
    routes: list[str] = []
    while True:
        with ledger.write() as con:
            found = expire(con, now)
        if not found:
            return routes
        routes += found


def _run_all(desk: Desk, routes: list[Route]) -> None:
    """Run the routes; an error in one ends the others after their messages in flight."""
    with ThreadPoolExecutor(max_workers=max(1, len(routes))) as pool:
        running: set[Future[None]] = {pool.submit(route.run) for route in routes}
        done: set[Future[None]] = set()
        try:
            while running:
                finished, running = wait(running, timeout=LOOK_SECONDS)
                done |= finished
                if any(future.exception() for future in finished):
                    desk.quit.set()
        except BaseException:
            desk.quit.set()
            raise
    for future in done:
        future.result()
