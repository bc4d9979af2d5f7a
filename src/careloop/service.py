"""A round of service between two refreshes: load, watch, plan, escalate, alert. The flow and the
command line run this same round; it may be run again, late, or while a refresh is under way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from careloop.contract import entities
from careloop.errors import BusyError
from careloop.escalate import Alerted, Escalated, escalate, send_alerts
from careloop.home import hold
from careloop.ingest.run import Ingested, ingest
from careloop.ledger.database import open_ledger
from careloop.plan import Planned, plan
from careloop.program.model import Program
from careloop.run_info import utc_text
from careloop.settings import Settings
from careloop.watch import Watched, watch

Progress = Callable[[str], None]
# What a round loads; of these also what they refer to, for a row waits until that is there.
LOADED = (
    "tickets",
    "ticket_events",
    "surveys",
    "follow_ups",
    "orders",
    "contacts",
    "consents",
    "staff",
)


@dataclass
class Round:
    """loaded: None while a refresh holds the home directory; the round then went on with what
    was there. planned: what the decisions of the round added to the ledger. escalated, alerted:
    who had to know, and who was told."""

    loaded: Ingested | None
    watched: Watched
    planned: Planned
    escalated: Escalated
    alerted: Alerted

    @property
    def summary(self) -> str:
        """The round in one line."""
        cases = ", ".join(f"{count:,} {kind}" for kind, count in self.watched.cases.items())
        late = f", {self.planned.expired:,} too late" if self.planned.expired else ""
        busy = "" if self.loaded else "; a refresh was under way, nothing was loaded"
        raised = sum(self.escalated.raised.values())
        return (
            f"{cases} watched; {self.planned.planned:,} messages and tasks planned{late}; "
            f"{raised:,} escalations raised, {self.escalated.open:,} open, "
            f"{self.alerted.sent:,} lists sent{busy}"
        )


def service_round(
    settings: Settings,
    program: Program,
    as_of: datetime,
    now: datetime,
    progress: Progress = lambda _: None,
) -> Round:
    """Run one round as of ``as_of`` (aware); ``now`` is what expired messages are judged by
    and when alerts go out.

    The same round again changes nothing. Killed at any moment it leaves what was there, and the
    next round does the rest. Raises BusyError while another round is under way, SourceError when
    a file can't be loaded (after the round is done with what could), and what `watch` raises.
    """
    progress("loading what is new")
    loaded = load(settings, as_of, progress)
    watched = watch(settings, program, as_of, progress)
    with open_ledger(settings) as ledger:
        planned = plan(settings, program, watched.file, now, ledger)
        escalated = escalate(settings, program, watched.file, as_of, now, ledger)
        alerted = send_alerts(settings, program, ledger, now)
    if loaded:
        loaded.raise_if_refused()
    return Round(loaded, watched, planned, escalated, alerted)


def load(settings: Settings, as_of: datetime, progress: Progress) -> Ingested | None:
    """Load what is new of the entities of service; None when the home directory is busy."""
    try:
        with hold(settings):
            return ingest(settings, utc_text(as_of), progress, entities_of_service())
    except BusyError:
        progress("a refresh is under way: nothing is loaded, the lake is taken as it is")
        return None


def entities_of_service() -> set[str]:
    """What a round loads, with whatever it refers to."""
    found = set(LOADED)
    while more := {p for name in found for p in entities()[name].parents.values()} - found:
        found |= more
    return found
