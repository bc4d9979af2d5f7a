"""Tasks as the ledger has them, and writing back that one is done."""

import json
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Subquery, and_, func, select

from careloop.errors import SettingsError
from careloop.ledger.database import Ledger, has_ledger, open_ledger, utc
from careloop.ledger.messages import insert_new
from careloop.ledger.tables import feedback, messages
from careloop.settings import Settings
from careloop.task_list.words import words

SHORTEST = 6
DONE = "done"


@dataclass(frozen=True)
class Task:
    """Something a person shall do for a customer; no personal data. Times are UTC.

    state: open, late (open and past due), done. row: the message's columns in the ledger.
    """

    task: str
    customer_id: str
    rule: str
    channel: str
    owner_role: str | None
    owner_id: str | None
    due_at: datetime | None
    offer: str | None
    about: dict[str, Any]
    state: str
    result: str | None
    row: dict[str, Any]


def read_tasks(
    settings: Settings,
    now: datetime,
    zone: str,
    *,
    owner: str | None = None,
    due_before: date | None = None,
    with_done: bool = False,
) -> list[Task]:
    """The tasks on the list, by owner (role, then staff id), due time, then id.

    owner: a role or a staff id. due_before: only those due before that local day begins. Those
    without a due time come last and are left out under due_before.
    """
    limit = datetime.combine(due_before, time(), ZoneInfo(zone)) if due_before else None
    done = _done()
    with _ledger(settings) as ledger, ledger.read() as con:
        query = select(messages, done.c.times.label("_done"), done.c.detail.label("_told"))
        query = query.outerjoin_from(messages, done, done.c.message_id == messages.c.message_id)
        query = query.where(messages.c.kind == "task", messages.c.state == "sent")
        if not with_done:
            query = query.where(done.c.times.is_(None))
        if owner:
            query = query.where((messages.c.owner_id == owner) | (messages.c.owner_role == owner))
        if limit:
            query = query.where(messages.c.due_at < utc(limit))
        rows = [dict(row._mapping) for row in con.execute(query)]
    return sorted((_task(row, utc(now)) for row in rows), key=_order)


def mark_done(
    settings: Settings, task: str, result: str, by: str, now: datetime
) -> tuple[str, bool]:
    """Write back that ``by`` (staff id) did a task; returns its id and whether that was new.

    task: its id or the first six characters or more. Raises SettingsError for one that isn't on
    the list, or was done with another result.
    """
    if result not in words()["results"]:
        raise SettingsError(
            f"there is no result {result}", f"allowed: {', '.join(words()['results'])}"
        )
    with _ledger(settings) as ledger, ledger.write() as con:
        found = _named(con, task)
        row = {
            "feedback_id": f"{DONE}:{found['message_id']}",
            "message_id": found["message_id"],
            "customer_id": found["customer_id"],
            "channel": found["channel"],
            "kind": DONE,
            "at_utc": utc(now),
            "received_at": utc(now),
            "detail": json.dumps({"by": by, "result": result}, sort_keys=True),
        }
        query = select(feedback.c.detail).where(feedback.c.feedback_id == row["feedback_id"])
        earlier = con.execute(query).one_or_none()
        insert_new(con, feedback, [row])
    if earlier and _result(earlier.detail) != result:
        raise SettingsError(
            f"task {task} was done before, with the result {_result(earlier.detail)}",
            "what is in the ledger stays; nothing was changed",
        )
    return found["message_id"], earlier is None


def _named(con: Connection, task: str) -> dict[str, Any]:
    task = task.strip().lower()
    if len(task) < SHORTEST or not all(c in "0123456789abcdef" for c in task):
        raise SettingsError(
            f"{task!r} names no task", "give its id, or the first six characters or more"
        )
    on_list = and_(messages.c.kind == "task", messages.c.state == "sent")
    query = select(messages).where(on_list, messages.c.message_id.startswith(task)).limit(2)
    rows = [dict(row._mapping) for row in con.execute(query)]
    if len(rows) != 1:
        told = "is not on the list" if not rows else "names several tasks"
        raise SettingsError(f"{task} {told}", "`careloop tasks list` shows the ids")
    return rows[0]


def _ledger(settings: Settings) -> Ledger:
    """The ledger; raises SettingsError when there is none yet."""
    if not has_ledger(settings):
        raise SettingsError(
            f"there is no ledger in {settings.home}", "nothing has been planned yet"
        )
    return open_ledger(settings)


def _done() -> Subquery:
    """What is done, one row per message: the CRM may say so, too, and more than once."""
    query = select(
        feedback.c.message_id,
        func.count().label("times"),
        func.min(feedback.c.detail).label("detail"),
    )
    return query.where(feedback.c.kind == DONE).group_by(feedback.c.message_id).subquery()


def _task(row: dict[str, Any], now: datetime) -> Task:
    done, told = row.pop("_done") is not None, row.pop("_told")
    due = row["due_at"]
    late = due is not None and due < now
    return Task(
        task=row["message_id"],
        customer_id=row["customer_id"],
        rule=row["rule"],
        channel=row["channel"],
        owner_role=row["owner_role"],
        owner_id=row["owner_id"],
        due_at=due,
        offer=row["offer"],
        about=json.loads(row["about"]) if row["about"] else {},
        state="done" if done else "late" if late else "open",
        result=_result(told),
        row=row,
    )


def _result(detail: str | None) -> str | None:
    try:
        found = json.loads(detail or "{}").get("result")
    except (ValueError, AttributeError):
        return None
    return str(found) if found else None


def _order(task: Task) -> tuple[str, str, str, str]:
    due = task.due_at.isoformat() if task.due_at else "~"
    return task.owner_role or "~", task.owner_id or "~", due, task.task
