"""Messages and their states, each change with its event in the same transaction.

``planned → sending → sent | failed | unknown``; ``expired``, ``suppressed`` and ``cancelled`` end
a message that was never handed over; a temporary failure goes back to ``planned``. Every function
takes a connection in a transaction of ``Ledger.write``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    and_,
    bindparam,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from careloop.ledger.tables import controls, events, exposures, messages, suppressions

M = messages.c
# The rows of a transaction while many are changed: enough to be fast, few enough for memory.
CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Message:
    """One planned message as the ledger has it: what to do, without personal data."""

    seq: int
    message_id: str
    decision_key: str
    customer_id: str
    rule: str
    rule_version: str
    occasion: str
    purpose: str
    channel: str
    kind: str
    route: str
    not_before: datetime | None
    expires_at: datetime | None
    due_at: datetime | None
    contact_on: date | None
    owner_role: str | None
    owner_id: str | None
    offer: str | None
    segment: str | None
    pack: str
    pack_hash: str
    as_of: datetime
    locale: str | None
    template: str | None
    about: str | None
    priority: int
    order_no: int
    attempts: int
    failures: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message. state ``planned``: again at next_attempt_at.

    counts: whether it brings the message nearer to being given up. then: a second change right
    after the first, with its reason (an unknown outcome that is asked for again). wrong_address:
    hash of an address that must not be used again.
    """

    message: Message
    state: str
    at: datetime
    reason: str | None
    attempt: int
    provider_id: str | None = None
    next_attempt_at: datetime | None = None
    counts: bool = False
    then: str | None = None
    wrong_address: str | None = None


_FIELDS = [M[field.name] for field in fields(Message)]


def state_is(state: str) -> Any:
    """The condition as written text, so that the partial indexes apply."""
    return M.state == literal(state, literal_execute=True)


def insert_new(con: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> None:
    """Insert the rows whose keys are not there yet."""
    kind = sqlite.insert if con.dialect.name == "sqlite" else postgresql.insert
    if rows:
        con.execute(kind(table).on_conflict_do_nothing(), rows)


def insert_plan(con: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Insert planned (or already expired) messages and their first events; decisions that are in
    the ledger stay as they are. Returns how many are new, by state. Callers hold PLANNING."""
    last = con.execute(select(func.coalesce(func.max(M.seq), 0))).scalar_one()
    insert_new(con, messages, rows)
    new = select(M.message_id, M.state_at, M.state, M.detail, M.attempts).where(M.seq > last)
    con.execute(
        insert(events).from_select(
            ["message_id", "at_utc", "state", "reason", "attempt"], new.order_by(M.seq)
        )
    )
    counted = select(M.state, func.count()).where(M.seq > last).group_by(M.state)
    return dict(con.execute(counted).tuples().all())


def insert_exposures(con: Connection, rows: Sequence[dict[str, Any]]) -> int:
    """Insert the exposures that are not there yet; returns how many. Callers hold PLANNING."""
    last = con.execute(select(func.coalesce(func.max(exposures.c.seq), 0))).scalar_one()
    insert_new(con, exposures, rows)
    new = select(func.count()).where(exposures.c.seq > last)
    return con.execute(new).scalar_one()


def record(con: Connection, rows: Iterable[tuple[str, datetime, str, str | None, int]]) -> None:
    """Write events: message_id, time, state, reason, attempt."""
    names = ("message_id", "at_utc", "state", "reason", "attempt")
    found = [dict(zip(names, row, strict=True)) for row in rows]
    if found:
        con.execute(insert(events), found)


def expire(con: Connection, now: datetime, most: int = CHUNK) -> list[str]:
    """End what is still planned past its time, the event at that time; returns the routes of up
    to ``most`` messages."""
    late = (
        select(M.seq, M.message_id, M.expires_at, M.attempts, M.route)
        .where(state_is("planned"), M.expires_at <= now)
        .order_by(M.expires_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    rows = con.execute(late).all()
    if not rows:
        return []
    con.execute(
        update(messages)
        .where(M.seq.in_([row.seq for row in rows]))
        .values(
            state="expired",
            state_at=M.expires_at,
            detail="not sent in time",
            worker=None,
            lease_until=None,
        )
    )
    record(
        con,
        [(r.message_id, r.expires_at, "expired", "not sent in time", r.attempts) for r in rows],
    )
    return [row.route for row in rows]


def holders(con: Connection) -> list[str]:
    """The workers that hold messages."""
    return list(con.execute(select(M.worker).where(M.worker.is_not(None)).distinct()).scalars())


def release(con: Connection, workers: Sequence[str], route: str | None = None) -> None:
    """Give back what these workers have claimed and not begun."""
    if not workers:
        return
    held = and_(M.worker.in_(workers), M.worker.is_not(None), M.state == "planned")
    where = held if route is None else and_(held, M.route == route)
    con.execute(update(messages).where(where).values(worker=None, lease_until=None))


def abandoned(con: Connection, route: str, now: datetime, gone: Sequence[str]) -> list[Message]:
    """What was being sent when its worker went away, or when its lease ran out."""
    over = or_(M.lease_until <= now, M.worker.in_(gone))
    found = (
        select(*_FIELDS)
        .where(M.worker.is_not(None), M.state == "sending", M.route == route, over)
        .order_by(M.seq)
        .limit(CHUNK)
        .with_for_update(skip_locked=True)
    )
    return [Message(*row) for row in con.execute(found)]


def claim(
    con: Connection, route: str, worker: str, now: datetime, lease: datetime, most: int
) -> list[Message]:
    """Up to ``most`` messages that are due, in the order they are to go; nobody else takes them
    until ``lease``. Their state stays planned."""
    due = (
        select(*_FIELDS)
        .where(
            state_is("planned"),
            M.route == route,
            M.next_attempt_at <= now,
            or_(M.worker.is_(None), M.lease_until <= now),
        )
        .order_by(M.priority.desc(), M.as_of, M.order_no)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    found = [Message(*row) for row in con.execute(due)]
    if found:
        con.execute(
            update(messages)
            .where(M.seq.in_([message.seq for message in found]))
            .values(worker=worker, lease_until=lease)
        )
    return found


_S = suppressions.c
_HELD_BACK = (
    select(_S.seq)
    .where(
        _S.key.in_([bindparam("customer"), bindparam("address")]),
        _S.lifted_at.is_(None),
        or_(_S.channel.is_(None), _S.channel == bindparam("on_channel")),
        or_(_S.purpose.is_(None), _S.purpose == bindparam("for_purpose")),
    )
    .exists()
)
_HALTED = (
    select(controls.c.name)
    .where(
        or_(
            controls.c.name == "pause",
            and_(controls.c.name == "stop", controls.c.count > bindparam("stops")),
        )
    )
    .exists()
)
_MARK_SENDING = (
    update(messages)
    .where(
        M.seq == bindparam("this"),
        M.state == "planned",
        M.worker == bindparam("me"),
        not_(_HELD_BACK),
        not_(_HALTED),
    )
    .values(
        state="sending",
        state_at=bindparam("at"),
        attempts=bindparam("attempt"),
        lease_until=bindparam("lease"),
    )
)


def mark_sending(
    con: Connection,
    message: Message,
    worker: str,
    now: datetime,
    lease: datetime,
    address: str | None,
    stops: int,
) -> bool:
    """The intent, committed before the channel is asked. False, and nothing changed, unless the
    message is still planned and held by ``worker``, neither customer nor ``address`` (a hash) is
    suppressed, and dispatch is neither paused nor stopped (since ``stops`` orders to stop)."""
    attempt = message.attempts + 1
    done = con.execute(
        _MARK_SENDING,
        {
            "this": message.seq,
            "me": worker,
            "at": now,
            "attempt": attempt,
            "lease": lease,
            "customer": message.customer_id,
            "address": address,
            "on_channel": message.channel,
            "for_purpose": message.purpose,
            "stops": stops,
        },
    )
    if done.rowcount != 1:
        return False
    con.execute(
        insert(events),
        {
            "message_id": message.message_id,
            "at_utc": now,
            "state": "sending",
            "reason": None,
            "attempt": attempt,
        },
    )
    return True


_MARK = (
    update(messages)
    .where(
        M.seq == bindparam("this"),
        or_(
            and_(M.state == bindparam("was"), M.worker == bindparam("me")),
            # Another worker took this one for dead: what is known is better than `unknown`.
            and_(M.state == "unknown", M.attempts == bindparam("attempt")),
        ),
    )
    .values(
        state=bindparam("new_state"),
        state_at=bindparam("at"),
        detail=bindparam("why"),
        provider_id=bindparam("provider"),
        next_attempt_at=func.coalesce(
            bindparam("again_at", type_=M.next_attempt_at.type), M.next_attempt_at
        ),
        failures=M.failures + bindparam("more"),
        worker=None,
        lease_until=None,
    )
)


def mark(con: Connection, outcome: Outcome, worker: str, was: str = "sending") -> bool:
    """Record what became of a message this worker had in state ``was``; False when somebody else
    has decided about it since."""
    message = outcome.message
    done = con.execute(
        _MARK,
        {
            "this": message.seq,
            "was": was,
            "me": worker,
            "attempt": outcome.attempt,
            "new_state": "planned" if outcome.then else outcome.state,
            "at": outcome.at,
            "why": outcome.then or outcome.reason,
            "provider": outcome.provider_id,
            "again_at": outcome.next_attempt_at,
            "more": int(outcome.counts),
        },
    )
    if done.rowcount != 1:
        return False
    key, at, attempt = message.message_id, outcome.at, outcome.attempt
    rows = [(key, at, outcome.state, outcome.reason, attempt)]
    record(con, rows + ([(key, at, "planned", outcome.then, attempt)] if outcome.then else []))
    return True


def take_over(con: Connection, message: Message, worker: str) -> None:
    """Hold an abandoned message, so that ``mark`` applies."""
    con.execute(update(messages).where(M.seq == message.seq).values(worker=worker))


def waiting(con: Connection, now: datetime, routes: Sequence[str]) -> dict[str, int]:
    """How many messages are due, by route."""
    found = (
        select(M.route, func.count())
        .where(state_is("planned"), M.route.in_(routes), M.next_attempt_at <= now)
        .group_by(M.route)
    )
    return dict(con.execute(found).tuples().all())
