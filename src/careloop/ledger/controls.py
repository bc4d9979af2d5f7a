"""Orders to all dispatchers, whichever machine they run on: pause, stop, and channels at rest."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from careloop.ledger.tables import controls

C = controls.c


def _put(con: Connection, name: str, now: datetime, reason: str, until: datetime | None) -> int:
    changed = {"count": C.count + 1, "until": until, "reason": reason, "changed_at": now}
    if con.execute(update(controls).where(C.name == name).values(changed)).rowcount == 0:
        con.execute(insert(controls).values({**changed, "name": name, "count": 1}))
    return con.execute(select(C.count).where(C.name == name)).scalar_one()


def pause(con: Connection, now: datetime) -> None:
    """Nothing is begun until ``resume``; messages in flight end."""
    _put(con, "pause", now, "paused", None)


def resume(con: Connection) -> None:
    """Take back a pause."""
    con.execute(delete(controls).where(C.name == "pause"))


def stop(con: Connection, now: datetime) -> None:
    """Every dispatcher that is running ends after the message in flight; later ones start."""
    _put(con, "stop", now, "stopped", None)


def is_paused(con: Connection) -> bool:
    return con.execute(select(C.name).where(C.name == "pause")).first() is not None


def stops(con: Connection) -> int:
    """How often `stop` was ordered."""
    return con.execute(select(C.count).where(C.name == "stop")).scalar() or 0


def rest(con: Connection, route: str, now: datetime, until: datetime, reason: str) -> int:
    """Leave a channel alone until then; returns how often in a row."""
    return _put(con, f"rest:{route}", now, reason, until)


def resting(con: Connection, route: str) -> tuple[datetime | None, int]:
    """Until when a channel is left alone, and how often in a row it failed; None, 0 if it is up."""
    found = con.execute(select(C.until, C.count).where(C.name == f"rest:{route}")).first()
    return (found.until, found.count) if found else (None, 0)


def wake(con: Connection, route: str) -> None:
    """The channel answered again."""
    con.execute(delete(controls).where(C.name == f"rest:{route}"))


def orders(con: Connection) -> list[dict[str, object]]:
    """What is in force: name, until, reason, since when."""
    found = con.execute(select(C.name, C.until, C.reason, C.changed_at).order_by(C.name))
    return [dict(row._mapping) for row in found]
