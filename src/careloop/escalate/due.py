"""Which lists are due: who has not heard of which open escalation, and whether it is time."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from careloop.ledger import alerts
from careloop.ledger.escalations import BACKLOG
from careloop.program.calendar import calendar_days, work_intervals
from careloop.program.model import Program

URGENT = "urgent"
Item = tuple[str, str]  # escalation, audience


@dataclass(frozen=True)
class PlannedAlerts:
    """lists: how many are new. waiting: escalations nobody hears of before working time."""

    lists: int
    waiting: int


def plan_alerts(
    con: Connection,
    program: Program,
    reachable: Collection[str],
    people: str,
    team: str,
    now: datetime,
) -> PlannedAlerts:
    """Plan the lists that are due at ``now`` (UTC without zone). reachable: staff ids with an
    address; what is for others goes to the team. people, team: names of the channels. Callers
    hold ALERTING."""
    rules = {item.level: item.tell for item in program.alerts.levels}
    found = alerts.to_tell(con, list(rules))
    told = alerts.told(con)
    working = _is_working_time(program, now)
    due: dict[str | None, list[Item]] = defaultdict(list)
    over: dict[str | None, list[Item]] = defaultdict(list)
    everyone: set[str | None] = set()
    waiting: set[str] = set()
    for row in found:
        if row.state != "open":
            over[_recipient(row, "told", reachable)].append((row.escalation_id, "told"))
            continue
        now_or_never = working or not program.alerts.working_hours_only
        urgent = row.urgency == URGENT and row.found != BACKLOG
        now_or_never |= program.alerts.urgent_always and urgent
        for audience in rules[row.level]:
            to = _recipient(row, audience, reachable)
            everyone.add(to)
            item = (row.escalation_id, audience)
            if item in told:
                continue
            if now_or_never:
                due[to].append(item)
            else:
                waiting.add(row.escalation_id)
    digest = _digest_day(program, now, working)
    lists = 0
    # What needs no answer any more waits for the next list.
    recipients = everyone | over.keys() if digest else due.keys()
    for to in sorted(recipients, key=lambda name: (name is None, name or "")):
        new = due.get(to, []) + over.get(to, [])
        name = alerts.alert_id(alerts.DIGEST, to, [digest]) if digest else ""
        kind = alerts.DIGEST if digest and not alerts.has_alert(con, name) else alerts.RAISED
        if kind == alerts.RAISED:
            if not new:
                continue
            name = alerts.alert_id(kind, to, [f"{e}:{audience}" for e, audience in new])
        alerts.insert_alert(con, name, kind, to, people if to else team, new, now)
        lists += 1
    return PlannedAlerts(lists, len(waiting))


def _recipient(row: Any, audience: str, reachable: Collection[str]) -> str | None:
    """A staff id, or None for the team."""
    wanted = {"told": row.staff_id, "owner": row.owner_id, "team": None}[audience]
    return wanted if wanted in reachable else None


def _is_working_time(program: Program, now: datetime) -> bool:
    """Whether the service works at this moment; breaks are free."""
    local = _local(program, now)
    day = calendar_days(program.calendar, local.date(), local.date())[0]
    return any(opens <= local < closes for opens, closes in work_intervals(program.calendar, day))


def _digest_day(program: Program, now: datetime, working: bool) -> str:
    """The local day whose digest is due, or nothing."""
    at, local = program.alerts.digest_at, _local(program, now)
    if at is None or f"{local:%H:%M}" < at:
        return ""
    day = calendar_days(program.calendar, local.date(), local.date())[0]
    if not day.is_workday or (program.alerts.working_hours_only and not working):
        return ""
    return str(local.date())


def _local(program: Program, now: datetime) -> datetime:
    return now.replace(tzinfo=UTC).astimezone(ZoneInfo(program.zone)).replace(tzinfo=None)
