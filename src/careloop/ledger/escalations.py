"""Escalations and their history. Functions take a connection in a transaction of ``Ledger.write``,
and those that change rows leave an event with each change of state."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, literal, null, select, update

from careloop.errors import SettingsError
from careloop.ledger.database import Ledger, utc
from careloop.ledger.prepared import Prepared
from careloop.ledger.tables import escalation_events, escalations, meta

E = escalations.c
STATES = ("open", "fulfilled", "ended", "withdrawn")
BACKLOG, OVER = "backlog", "over"
SHORTEST = 6
_CHUNK = 500
_FIRST_ROUND = "escalating_from"
_MOVING = ("owner_id", "department", "due_at", "breached_at", "elapsed_seconds")


def is_open() -> Any:
    """The condition as written text, so that the partial index applies."""
    return E.state == literal("open", literal_execute=True)


def first_round(con: Connection, at: datetime) -> datetime:
    """The time the first round looked from: ``at`` if this is the first."""
    query = select(meta.c.value).where(meta.c.name == _FIRST_ROUND)
    if found := con.execute(query).scalar():
        return datetime.fromisoformat(found)
    con.execute(insert(meta).values(name=_FIRST_ROUND, value=at.isoformat()))
    return at


def open_ones(con: Connection, columns: Sequence[str]) -> list[dict[str, Any]]:
    """The open escalations."""
    found = con.execute(select(*[E[name] for name in columns]).where(is_open()).order_by(E.seq))
    return [dict(row) for row in found.mappings()]


def listed(con: Connection, state: str | None, owner: str | None) -> list[Any]:
    """Escalations in a state (any if None), by owner, then in the order they were raised. Of the
    open ones either those found in time, or the ``backlog``."""
    query = _wanted(select(escalations), state, owner)
    return list(con.execute(query.order_by(func.coalesce(E.owner_id, ""), E.seq)))


def count(con: Connection, state: str | None, owner: str | None) -> int:
    """How many ``listed`` would give."""
    return con.execute(_wanted(select(func.count(E.seq)), state, owner)).scalar_one()


def _wanted(query: Select[Any], state: str | None, owner: str | None) -> Select[Any]:
    if state in ("open", BACKLOG):
        is_backlog = func.coalesce(E.found, "") == BACKLOG
        query = query.where(is_open(), is_backlog if state == BACKLOG else ~is_backlog)
    elif state:
        query = query.where(E.state == state)
    return query.where(E.owner_id == owner) if owner else query


def count_open(con: Connection) -> int:
    """How many are open."""
    return con.execute(select(func.count()).where(is_open())).scalar_one()


def known(con: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """State and last_seen_at of those that the ledger has, by id."""
    found = {}
    for i in range(0, len(ids), _CHUNK):
        part = E.escalation_id.in_(ids[i : i + _CHUNK])
        query = select(E.escalation_id, E.state, E.last_seen_at).where(part)
        found |= {row.escalation_id: row for row in con.execute(query)}
    return found


def raise_new(con: Connection, rows: Sequence[dict[str, Any]], at: datetime) -> None:
    """Insert escalations that are not there; one that is over was fulfilled meanwhile."""
    if rows:
        filled = [dict.fromkeys(_COLUMNS) | row | _first_state(row) for row in rows]
        _INSERT.run(con, *[{name: row[name] for name in _COLUMNS} for row in filled])
        _record(
            con,
            (
                (r["escalation_id"], at, r["state"], r["elapsed_seconds"], r["found"])
                for r in filled
            ),
        )


def _first_state(row: dict[str, Any]) -> dict[str, Any]:
    if row.get("found") == OVER:
        return {"state": "fulfilled", "closed_at": row["stopped_at"]}
    return {"state": "open"}


def reopen(con: Connection, rows: Sequence[dict[str, Any]], at: datetime) -> None:
    """Open again what was over."""
    if rows:
        changes = {"state": "open", "closed_at": null(), "last_seen_at": at}
        _update(con, rows, changes, _MOVING)
        why = "its clock runs again"
        _record(con, ((r["escalation_id"], at, "open", r["elapsed_seconds"], why) for r in rows))


def update_open(con: Connection, rows: Sequence[dict[str, Any]], at: datetime) -> None:
    """What is known of open ones as of ``at``."""
    if rows:
        _update(con, rows, {"last_seen_at": at}, _MOVING)


def close(
    con: Connection,
    rows: Sequence[tuple[dict[str, Any], datetime]],
    state: str,
    at: datetime,
    why: str | None = None,
) -> None:
    """End escalations, each at its time, seen as of ``at``."""
    if rows:
        closed = [{**row, "closed_at": ended} for row, ended in rows]
        _update(con, closed, {"state": state, "last_seen_at": at}, ("closed_at", "elapsed_seconds"))
        _record(
            con,
            (
                (r["escalation_id"], r["closed_at"], state, r["elapsed_seconds"], why)
                for r in closed
            ),
        )


def withdraw(ledger: Ledger, name: str, reason: str, now: datetime) -> tuple[str, bool]:
    """A person says it is settled; returns its id and whether that was new. It stays so while its
    clock goes on, and nobody is told of it any more.

    name: the id, or the first six characters or more. Raises SettingsError for one that isn't
    there or is over.
    """
    name = name.strip().lower()
    if len(name) < SHORTEST or not all(c in "0123456789abcdef" for c in name):
        raise SettingsError(
            f"{name!r} names no escalation", "give its id, or the first six characters or more"
        )
    with ledger.write() as con:
        query = select(E.escalation_id, E.state, E.elapsed_seconds)
        rows = con.execute(query.where(E.escalation_id.startswith(name)).limit(2)).all()
        hint = "`careloop escalations` shows the ids"
        if len(rows) != 1:
            raise SettingsError(
                f"{name} {'names several escalations' if rows else 'is no escalation'}", hint
            )
        row = rows[0]
        if row.state not in ("open", "withdrawn"):
            raise SettingsError(f"{name} is over ({row.state}); there is nothing to withdraw", hint)
        if row.state == "open":
            at = utc(now)
            con.execute(
                update(escalations)
                .where(E.escalation_id == row.escalation_id)
                .values(state="withdrawn", closed_at=at)
            )
            _record(con, [(row.escalation_id, at, "withdrawn", row.elapsed_seconds, reason)])
    return row.escalation_id, row.state == "open"


def _update(
    con: Connection,
    rows: Iterable[dict[str, Any]],
    fixed: dict[str, Any],
    moving: Sequence[str],
) -> None:
    statement = (
        update(escalations)
        .where(E.escalation_id == bindparam("this"))
        .values(**fixed, **{name: bindparam(f"new_{name}") for name in moving})
    )
    Prepared(statement).run(
        con,
        *[
            {"this": row["escalation_id"], **{f"new_{name}": row[name] for name in moving}}
            for row in rows
        ],
    )


_COLUMNS = [column.name for column in escalations.c if column.name != "seq"]
_INSERT = Prepared(insert(escalations).inline(), _COLUMNS)
_EVENT = ("escalation_id", "at_utc", "state", "elapsed_seconds", "reason")
_RECORD = Prepared(insert(escalation_events).inline(), _EVENT)


def _record(con: Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    _RECORD.run(con, *[dict(zip(_EVENT, row, strict=True)) for row in rows])
