"""What erasure changes in the ledger: nothing goes out any more, the figures stay."""

from datetime import datetime

from sqlalchemy import Connection, and_, insert, select, update

from careloop.ledger.database import Ledger, utc
from careloop.ledger.suppressions import address_hash, suppress_address, suppress_customer
from careloop.ledger.tables import (
    escalations,
    events,
    exposures,
    feedback,
    messages,
    suppressions,
)

REASON = "erased"


def erase_in_ledger(
    ledger: Ledger, customer_id: str, pseudonym: str, addresses: list[str], at: datetime
) -> None:
    """Suppress the customer and the hashes of the addresses, call off what is planned, and give
    every row the pseudonym; one transaction."""
    salt, at = ledger.fact("salt"), utc(at)
    with ledger.write() as con:
        for address in addresses:
            hashed = address_hash(salt, address)
            found = select(suppressions.c.seq).where(
                suppressions.c.key == hashed,
                suppressions.c.reason == REASON,
                suppressions.c.lifted_at.is_(None),
            )
            if con.execute(found).first() is None:
                suppress_address(con, hashed, REASON, at)
        _call_off(con, customer_id, at)
        for table in (messages, exposures, feedback, escalations):
            con.execute(
                update(table)
                .where(table.c.customer_id == customer_id)
                .values(customer_id=pseudonym)
            )
        own = and_(escalations.c.case_kind == "customer", escalations.c.case_id == customer_id)
        con.execute(update(escalations).where(own).values(case_id=pseudonym))
        con.execute(
            update(suppressions)
            .where(and_(suppressions.c.scope == "customer", suppressions.c.key == customer_id))
            .values(key=pseudonym)
        )
        found = select(suppressions.c.seq).where(
            suppressions.c.key == pseudonym, suppressions.c.reason == REASON
        )
        if con.execute(found).first() is None:
            suppress_customer(con, pseudonym, REASON, at)


def _call_off(con: Connection, customer_id: str, at: datetime) -> None:
    waiting = and_(messages.c.customer_id == customer_id, messages.c.state == "planned")
    found = con.execute(select(messages.c.message_id, messages.c.attempts).where(waiting)).all()
    if not found:
        return
    con.execute(
        update(messages).where(waiting).values(state="cancelled", state_at=at, detail=REASON)
    )
    con.execute(
        insert(events),
        [
            {
                "message_id": row.message_id,
                "at_utc": at,
                "state": "cancelled",
                "reason": REASON,
                "attempt": row.attempts,
            }
            for row in found
        ],
    )
