"""Raising, updating and closing escalations in the ledger, once per case, clock and level."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from careloop.escalate.clocks import KNOWN, Row, open_clocks
from careloop.escalate.staff import Staff, read_staff
from careloop.ledger import escalations
from careloop.ledger.database import ESCALATING, Ledger, hold_lock, utc
from careloop.ledger.escalations import BACKLOG, OVER
from careloop.program.model import Program
from careloop.settings import Settings

ENDED = "its clock is no longer watched"


@dataclass(frozen=True)
class Escalated:
    """What one round changed in the ledger. raised: by level. ended: the clock's cycle ended
    otherwise, or the case is gone. open: how many are open now. backlog: of those raised, how many
    had reached their level long before. over: missed and done between two rounds."""

    raised: dict[str, int]
    reopened: int
    updated: int
    fulfilled: int
    ended: int
    open: int
    backlog: int = 0
    over: int = 0

    @property
    def changed(self) -> int:
        """Escalations that were raised, reopened or closed."""
        new = sum(self.raised.values()) + self.over
        return new + self.reopened + self.fulfilled + self.ended


def escalate(
    settings: Settings,
    program: Program,
    file: Path,
    as_of: datetime,
    now: datetime,
    ledger: Ledger,
) -> Escalated:
    """Compare the clocks of ``file`` (marts as of ``as_of``) with the ledger's escalations.

    A clock that is still open has reached ``warning`` once its warning time has come and its
    target is not missed, and each step of the pack's escalation once it is that long past its
    target. What is new is raised, what is known is updated, what has stopped is closed; a clock
    that goes on after it was closed opens its escalation again. What was reached longer ago than
    the pack's ``alerts.backlog_after`` is marked as backlog. A clock that was missed and has
    stopped since the first round, no longer ago than that, is recorded as over. Again with the same
    file, twice at once, or with an older file, nothing is raised anew. A withdrawn escalation
    stays so. ``now`` is not looked at: results depend on ``as_of`` only.

    Raises CareloopError when the file has no clocks.
    """
    del now
    moment = utc(as_of)
    staff = Staff(read_staff(settings).values())
    clocks = open_clocks(settings, program, file, moment)
    try:
        with ledger.write() as con:
            first = escalations.first_round(con, moment)
        reached = clocks.reached(first)
        with ledger.write() as con:
            hold_lock(con, ESCALATING)
            before = escalations.open_ones(con, KNOWN.names)
            done = _close_or_update(con, clocks.changed(before), moment)
            opened = {row["escalation_id"] for row in before}
            reached = [row for row in reached if row["escalation_id"] not in opened]
            there = escalations.known(con, [row["escalation_id"] for row in reached])
            again = [
                row
                for row in reached
                if row["found"] != OVER
                and (old := there.get(row["escalation_id"]))
                and _goes_on(old, moment)
            ]
            escalations.reopen(con, again, moment)
            new = [row for row in reached if row["escalation_id"] not in there]
            escalations.raise_new(con, [_raised(row, staff, moment) for row in new], moment)
            count = escalations.count_open(con)
    finally:
        clocks.con.close()
    raised = Counter(row["level"] for row in new if row["found"] != OVER)
    found = Counter(row["found"] for row in new)
    return Escalated(
        dict(raised),
        len(again),
        done["open"],
        done["fulfilled"],
        done["ended"],
        count,
        found[BACKLOG],
        found[OVER],
    )


def _goes_on(old: Any, as_of: datetime) -> bool:
    """Whether a clock that was over runs again, seen later than it was over."""
    return old.state in ("fulfilled", "ended") and old.last_seen_at < as_of


def _raised(row: Row, staff: Staff, as_of: datetime) -> Row:
    told = staff.told(row["role"], row["owner_id"], row["department"])
    return {**row, "staff_id": told, "raised_at": as_of, "last_seen_at": as_of}


def _close_or_update(con: Any, changed: list[Row], as_of: datetime) -> dict[str, int]:
    still = [row for row in changed if row["is_open"]]
    stopped = [row for row in changed if not row["is_open"] and row["stopped_at"]]
    ended = [row for row in changed if not row["is_open"] and not row["stopped_at"]]
    escalations.update_open(con, still, as_of)
    escalations.close(con, [(row, row["stopped_at"]) for row in stopped], "fulfilled", as_of)
    escalations.close(con, [(row, as_of) for row in ended], "ended", as_of, ENDED)
    return {"open": len(still), "fulfilled": len(stopped), "ended": len(ended)}
