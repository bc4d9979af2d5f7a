"""A day of care: plan what was published, send what is due. The flows and the command line run
these same steps; both may be run again, late, or twice at once."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import and_, func, select

from careloop.channels.registry import open_channels
from careloop.dispatch import Summary, dispatch
from careloop.dispatch.desk import Progress
from careloop.errors import SettingsError
from careloop.feedback import Imported, import_receipts
from careloop.ledger.database import Ledger, has_ledger, open_ledger, utc
from careloop.ledger.messages import Message
from careloop.ledger.tables import plans
from careloop.messages.batch import Renderer
from careloop.plan import Planned, plan
from careloop.program.base import Channel
from careloop.program.model import Program
from careloop.published import WATCH, current_version, version_day, version_of, versions
from careloop.settings import Settings

ROUTES: tuple[str, ...] = (*Channel.__args__, "task")


def unplanned(settings: Settings, program: Program, ledger: Ledger) -> list[Path]:
    """Published versions that are to be planned, the earliest as_of first: those after the last
    day that was planned, and other runs of that day. Of a ledger without any plan only the
    current version, for what was decided for the past was never meant to be sent.

    Raises SettingsError when nothing is published.
    """
    current = current_version(settings)
    if current is None:
        raise SettingsError(
            f"nothing is published in {settings.published}", "run `careloop run` first"
        )
    with ledger.read() as con:
        # What the watch decided in between is planned by its own rounds.
        of_program = and_(plans.c.pack == program.name, plans.c.version.not_like(f"%{WATCH}"))
        done = set(
            con.execute(
                select(plans.c.version).where(of_program, plans.c.finished_at.is_not(None))
            ).scalars()
        )
        last = con.execute(select(func.max(plans.c.as_of)).where(of_program)).scalar_one()
    name = version_of(current)
    if last is None:
        return [current]
    until = version_day(name, program.zone)
    waiting = [
        version
        for version in versions(settings)
        if version not in done
        and utc(version_day(version, program.zone)) >= last
        and version_day(version, program.zone) <= until
    ]
    return [settings.published / f"marts-{version}.duckdb" for version in waiting]


def plan_published(
    settings: Settings,
    program: Program,
    now: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> list[Planned]:
    """Copy into the ledger what was decided since the last time, day by day. What has expired at
    ``now`` is recorded and never sent."""
    with open_ledger(settings) as ledger:
        return [
            plan(settings, program, file, now, ledger, progress)
            for file in unplanned(settings, program, ledger)
        ]


def plan_missed_day(settings: Settings, program: Program, now: datetime) -> None:
    """Plan a day that was just decided late, before the next is decided: that one must know of it.
    An installation that never planned anything goes on planning nothing."""
    if has_ledger(settings):
        plan_published(settings, program, now)


def take_in_receipts(settings: Settings, program: Program, now: datetime) -> Imported:
    """Record the receipts that came as files with the last load, before the day is decided. An
    installation that never planned anything has nothing they could belong to."""
    if not has_ledger(settings):
        return Imported()
    with open_ledger(settings) as ledger:
        return import_receipts(settings, ledger, program.feedback, now)


def send_due(
    settings: Settings,
    program: Program,
    now: Callable[[], datetime],
    *,
    routes: Iterable[str] = ROUTES,
    most: int | None = None,
    watch: bool = False,
    quit: threading.Event | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Send what is planned and due on ``routes``, as `careloop.dispatch.dispatch` does."""
    channels = open_channels(settings, routes, now, program.zone)
    with open_ledger(settings) as ledger, Renderer(settings, program) as renderer:

        def render(batch: Sequence[Message]) -> Mapping[str, Any]:
            return renderer.render([_columns(message) for message in batch], now())

        return dispatch(
            settings,
            program,
            channels,
            render,
            now,
            ledger,
            most=most,
            watch=watch,
            quit=quit,
            progress=progress,
        )


def _columns(message: Message) -> dict[str, Any]:
    """The message as the renderer takes it; ``asdict`` would copy every value."""
    return {name: getattr(message, name) for name in Message.__slots__}
