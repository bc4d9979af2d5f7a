"""Alerts: lists for a person or the team, each handed over once. Functions take a connection in a
transaction of ``Ledger.write``.

``planned → sending → sent | failed | unknown``; ``failed`` is tried again in the next round while
``tries`` allows it; ``cancelled`` where all it was about is over before it went out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from careloop.ledger.escalations import OVER, is_open
from careloop.ledger.messages import insert_new
from careloop.ledger.prepared import Prepared
from careloop.ledger.tables import alert_items, alerts, escalation_events, escalations

A, T, E = alerts.c, alert_items.c, escalations.c
RAISED, DIGEST = "raised", "digest"
_NONE = {"attempts": 0, "failures": 0}


@dataclass(frozen=True)
class Alert:
    """One list. staff_id: whom it goes to; none is the team."""

    alert_id: str
    kind: str
    staff_id: str | None
    channel: str
    state: str
    attempts: int
    failures: int
    worker: str | None
    lease_until: datetime | None


_FIELDS = [A[name] for name in Alert.__annotations__]


def alert_id(kind: str, staff_id: str | None, about: Iterable[str]) -> str:
    """32 hex digits of a list's kind, whom it goes to and what makes it unlike others."""
    text = "|".join([kind, staff_id or "", *sorted(about)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def to_tell(con: Connection, levels: Sequence[str]) -> list[Any]:
    """Level, urgency, whom and whose of the escalations of these levels that are open, or were
    over when they were found and nobody has heard of, in the order they were raised."""
    columns = (E.escalation_id, E.level, E.urgency, E.staff_id, E.owner_id, E.state, E.found)
    over = and_(E.found == OVER, E.state == "fulfilled", E.alert_id.is_(None))
    query = select(*columns).where(or_(is_open(), over), E.level.in_(levels)).order_by(E.seq)
    return list(con.execute(query))


def told(con: Connection) -> set[tuple[str, str]]:
    """Escalation and audience of what is open and in some alert."""
    query = select(T.escalation_id, T.audience).join(
        escalations, E.escalation_id == T.escalation_id
    )
    return {(row.escalation_id, row.audience) for row in con.execute(query.where(is_open()))}


def insert_alert(
    con: Connection,
    name: str,
    kind: str,
    staff_id: str | None,
    channel: str,
    items: Sequence[tuple[str, str]],
    at: datetime,
) -> None:
    """Plan a list with the escalations (and the audience) that are told by it, unless it is
    there."""
    row = {"alert_id": name, "kind": kind, "staff_id": staff_id, "channel": channel}
    insert_new(
        con,
        alerts,
        [
            row
            | {"planned_at": at, "state": "planned", "state_at": at, "attempts": 0, "failures": 0}
        ],
    )
    if items:
        _ITEM.run(
            con,
            *[
                {"escalation_id": escalation, "audience": audience, "alert_id": name}
                for escalation, audience in items
            ],
        )
        _FIRST.run(con, *[{"this": escalation, "first": name} for escalation, _ in items])


_ITEM = Prepared(insert(alert_items).inline(), [column.name for column in alert_items.c])
_FIRST = Prepared(
    update(escalations)
    .where(E.escalation_id == bindparam("this"), E.alert_id.is_(None))
    .values(alert_id=bindparam("first"))
)


def has_alert(con: Connection, name: str) -> bool:
    """Whether a list is in the ledger."""
    return con.execute(select(A.seq).where(A.alert_id == name)).first() is not None


def under_way(con: Connection) -> list[Alert]:
    """Lists that were being handed over."""
    query = select(*_FIELDS).where(A.state == "sending").order_by(A.seq)
    return [Alert(*row) for row in con.execute(query)]


def to_send(con: Connection) -> list[Alert]:
    """Lists that are planned or have failed, in their order."""
    query = select(*_FIELDS).where(A.state.in_(("planned", "failed"))).order_by(A.seq)
    return [Alert(*row) for row in con.execute(query)]


def items_of(con: Connection, alert: Alert, levels: Sequence[str]) -> list[Any]:
    """What a list says now. Of what was raised: what is still open, or was over when it was
    found. A digest: everything open that this person was told of or owns; for the team what is
    told to it (``levels``, or because a person has no address)."""
    mine = E.escalation_id.in_(select(T.escalation_id).where(T.alert_id == alert.alert_id))
    if alert.kind == RAISED:
        wanted = mine
    elif alert.staff_id is not None:
        wanted = or_(E.staff_id == alert.staff_id, E.owner_id == alert.staff_id)
    else:
        to_team = select(T.escalation_id).join(alerts, A.alert_id == T.alert_id)
        to_team = to_team.where(A.staff_id.is_(None))
        wanted = or_(E.level.in_(levels), E.escalation_id.in_(to_team))
    shown = or_(and_(is_open(), wanted), and_(mine, E.found == OVER, E.state == "fulfilled"))
    return list(con.execute(select(escalations).where(shown).order_by(E.seq)))


def course(con: Connection, case_id: str) -> list[Any]:
    """One row per change of an escalation of this case, and per list that told somebody of one,
    in the order they came about. what: the state, or the kind of list; state: the list's."""
    about = (E.clock, E.cycle, E.level, E.target, E.started_at, E.due_at, E.breached_at)
    H = escalation_events.c
    events = (
        select(H.at_utc, H.state.label("what"), E.staff_id, H.reason.label("state"), *about)
        .join(escalations, E.escalation_id == H.escalation_id)
        .where(E.case_id == case_id)
    )
    lists = (
        select(A.state_at.label("at_utc"), A.kind.label("what"), A.staff_id, A.state, *about)
        .join(alert_items, T.alert_id == A.alert_id)
        .join(escalations, E.escalation_id == T.escalation_id)
        .where(E.case_id == case_id)
    )
    rows = [*con.execute(events.order_by(H.seq)), *con.execute(lists.order_by(A.seq, T.audience))]
    return sorted(rows, key=lambda row: row.at_utc)


def begin(con: Connection, alert: Alert, worker: str, at: datetime, lease: datetime) -> bool:
    """The intent, committed before the channel is asked; False if another has begun it."""
    done = con.execute(
        update(alerts)
        .where(
            A.alert_id == alert.alert_id,
            A.state == alert.state,
            A.attempts == alert.attempts,
        )
        .values(
            state="sending",
            state_at=at,
            attempts=alert.attempts + 1,
            worker=worker,
            lease_until=lease,
        )
    )
    return done.rowcount == 1


def settle(
    con: Connection,
    alert: Alert,
    state: str,
    at: datetime,
    reason: str | None = None,
    provider_id: str | None = None,
    *,
    counts: bool = False,
) -> bool:
    """What became of it; False when somebody else has decided about it since. counts: whether it
    brings the list nearer to being given up."""
    mine = and_(A.state == "sending", A.worker == alert.worker)
    done = con.execute(
        update(alerts)
        .where(A.alert_id == alert.alert_id, mine)
        .values(
            state=state,
            state_at=at,
            detail=reason,
            provider_id=provider_id,
            failures=A.failures + int(counts),
            worker=None,
            lease_until=None,
        )
    )
    return done.rowcount == 1


def cancel(con: Connection, alert: Alert, at: datetime, reason: str) -> None:
    """It has nothing to say any more."""
    con.execute(
        update(alerts)
        .where(A.alert_id == alert.alert_id, A.state == alert.state)
        .values(state="cancelled", state_at=at, detail=reason)
    )
