"""What the ledger says: how things stand, and the story of one message or customer."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, case, func, literal, or_, select

from careloop.ledger.messages import state_is
from careloop.ledger.tables import events, messages

M, E = messages.c, events.c


@dataclass(frozen=True)
class Standing:
    """How one route stands. due: may go now; later: not yet; sending: in flight, or left behind
    by a dispatcher that died; unknown: may have gone out."""

    route: str
    due: int
    later: int
    sending: int
    unknown: int


def standing(con: Connection, now: datetime) -> list[Standing]:
    """Every route with something waiting, in flight or unknown, by name."""
    is_due = func.sum(case((M.next_attempt_at <= now, 1), else_=0))
    due: dict[str, tuple[int, int]] = {
        route: (ready, total - ready)
        for route, ready, total in con.execute(
            select(M.route, is_due, func.count()).where(state_is("planned")).group_by(M.route)
        )
    }
    flying = _count(con, M.worker.is_not(None), M.state == "sending")
    unknown = _count(con, state_is("unknown"))
    return [
        Standing(route, *due.get(route, (0, 0)), flying.get(route, 0), unknown.get(route, 0))
        for route in sorted({*due, *flying, *unknown})
    ]


def _count(con: Connection, *conditions: object) -> dict[str, int]:
    found = select(M.route, func.count()).where(*conditions).group_by(M.route)
    return dict(con.execute(found).tuples().all())


def story(con: Connection, name: str) -> list[dict[str, object]]:
    """The messages of a message_id or customer_id, oldest first, each with its ``events``."""
    columns = [
        *(M.message_id, M.decision_key, M.customer_id, M.rule, M.occasion, M.purpose, M.channel),
        *(M.kind, M.as_of, M.not_before, M.expires_at, M.state, M.state_at, M.attempts),
        *(M.next_attempt_at, M.provider_id, M.detail),
    ]
    wanted = or_(M.message_id == literal(name), M.customer_id == literal(name))
    found = con.execute(select(*columns).where(wanted).order_by(M.seq)).all()
    return [{**row._mapping, "events": _events(con, row.message_id)} for row in found]


def _events(con: Connection, message_id: str) -> list[dict[str, object]]:
    columns = [E.at_utc, E.state, E.reason, E.attempt]
    found = con.execute(select(*columns).where(E.message_id == message_id).order_by(E.seq))
    return [dict(row._mapping) for row in found]
