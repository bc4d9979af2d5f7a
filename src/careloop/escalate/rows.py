"""Due cases as people read them: titles for ids, local times, one row per clock, by owner."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from careloop.escalate.due import URGENT
from careloop.escalate.words import say, word
from careloop.ledger.escalations import BACKLOG, OVER
from careloop.program.base import language
from careloop.program.model import Program
from careloop.program.sla import WARNING


@dataclass(frozen=True)
class Due:
    """One case and clock. since: local time of the breach, else when it is due; None while it is
    paused. done_at: local time at which it was done, of what was over when it was found."""

    owner_id: str | None
    case: str
    what: str
    urgency: str
    is_urgent: bool
    clock: str
    target: str
    is_late: bool
    since: datetime | None
    level: str
    is_backlog: bool = False
    done_at: datetime | None = None

    def when(self, lang: str, year: int, *, short: bool = False) -> str:
        """Since when it is late, or when it is due; with the year unless it is ``year``."""
        if self.since is None:
            return say("paused", lang)
        late = "late_short" if short else "late"
        form = "%m-%d %H:%M" if self.since.year == year else "%Y-%m-%d %H:%M"
        if self.done_at:
            return say("over", lang, at=f"{self.since:{form}}", done=f"{self.done_at:%m-%d %H:%M}")
        return say(late if self.is_late else "due", lang, at=f"{self.since:{form}}")


def due_rows(found: Iterable[Any], program: Program) -> list[Due]:
    """One row per case and clock with the highest level it has reached: urgent ones first, then
    the higher level, then what is late or due longest. found: rows like those of the ledger."""
    order = [WARNING, *(step.id for step in program.sla.escalation)]
    best: dict[tuple, tuple[int, Any]] = {}
    for row in found:
        height = order.index(row.level) if row.level in order else -1
        key = (row.case_kind, row.case_id, row.clock, row.cycle)
        if key not in best or height > best[key][0]:
            best[key] = (height, row)
    rows = [(height, _due(row, program)) for height, row in best.values()]
    rows.sort(key=lambda pair: (not pair[1].is_urgent, -pair[0], _age(pair[1])))
    return [due for _, due in rows]


def by_owner(rows: Sequence[Due]) -> list[tuple[str | None, list[Due]]]:
    """The rows of each owner, in their order; those without an owner first."""
    ordered = sorted(rows, key=lambda row: row.owner_id or "")
    return [(owner or None, list(g)) for owner, g in groupby(ordered, lambda r: r.owner_id or "")]


def _age(row: Due) -> tuple[str, str, str]:
    return row.since.isoformat() if row.since else "~", row.case, row.clock


def _due(row: Any, program: Program) -> Due:
    lang, zone = language(program.locales[0]), ZoneInfo(program.zone)
    titles = {clock.id: getattr(clock.title, lang) for clock in program.sla.clocks}
    late = row.breached_at is not None
    found = getattr(row, "found", None)
    is_over = found == OVER and row.state == "fulfilled"

    def local(at: datetime | None) -> datetime | None:
        return at.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) if at else None

    return Due(
        owner_id=row.owner_id,
        case=row.case_id,
        what=word("kinds", row.kind, lang) or word("cases_of", row.case_kind, lang),
        urgency=word("urgencies", row.urgency, lang),
        is_urgent=row.urgency == URGENT,
        clock=titles.get(row.clock, row.clock),
        target=row.target,
        is_late=late,
        since=local(row.breached_at if late else row.due_at),
        level=level_title(row.level, program, lang),
        is_backlog=found == BACKLOG,
        done_at=local(row.closed_at) if is_over else None,
    )


def level_title(level: str, program: Program, lang: str) -> str:
    """``due soon`` for the warning, else whom the step tells."""
    if level == WARNING:
        return say("warning", lang)
    step = next((step for step in program.sla.escalation if step.id == level), None)
    return word("roles", step.to, lang) if step else level
