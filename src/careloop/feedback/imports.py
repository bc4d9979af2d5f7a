"""What sources bring by file: receipts into the ledger, and consents given anew."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import select

from careloop.contract import entities
from careloop.durable import put
from careloop.feedback.addresses import address_of
from careloop.feedback.receipts import Receipt
from careloop.feedback.record import record
from careloop.lake.batches import Lake
from careloop.lake.relations import versions
from careloop.ledger.database import Ledger
from careloop.ledger.suppressions import lift
from careloop.ledger.tables import suppressions
from careloop.program.contact import Feedback
from careloop.settings import Settings
from careloop.warehouse import connect

# A receipt may come before the dispatcher has written down the provider's id of its message; one
# whose message is unknown for so long belongs to somebody else.
RETRIED = timedelta(days=7)
CHUNK = 5_000
COLUMNS = ("receipt_id", "message_id", "provider_id", "kind", "at", "detail")


@dataclass
class Imported:
    """Rows read, recorded anew, known before, of unknown messages; suppressions made, and lifted
    because the customer agreed again."""

    read: int = 0
    new: int = 0
    known: int = 0
    unmatched: int = 0
    suppressed: int = 0
    lifted: int = 0


def lift_unsubscriptions(settings: Settings, ledger: Ledger) -> int:
    """End the unsubscriptions of customers who have since agreed to the same purpose on the same
    channel, says the CRM; the latest word counts. Returns how many."""
    s = suppressions.c
    with ledger.read() as con:
        held = con.execute(
            select(s.suppression_id, s.key, s.channel, s.purpose, s.at_utc).where(
                s.scope == "customer", s.reason == "unsubscribed", s.lifted_at.is_(None)
            )
        ).all()
    if not held:
        return 0
    duck = connect(settings)
    try:
        duck.execute(
            "create temp table held (suppression_id varchar, customer_id varchar, "
            "channel varchar, purpose varchar, at_utc timestamp)"
        )
        duck.executemany("insert into held values (?, ?, ?, ?, ?)", [tuple(row) for row in held])
        agreed = duck.execute(
            "select suppression_id, min(changed_at) from held "
            f"join ({versions(Lake(settings.lake), entities()['consents'])}) as c "
            "using (customer_id, channel, purpose) where granted and changed_at > at_utc "
            "group by suppression_id order by suppression_id"
        ).fetchall()
    finally:
        duck.close()
    with ledger.write() as con:
        return sum(lift(con, name, at) for name, at in agreed)


def import_receipts(settings: Settings, ledger: Ledger, rules: Feedback, now: datetime) -> Imported:
    """Record what was loaded since the last import; again and again does no harm.

    Up to which batch all is done stands in ``receipts_imported.json`` of the home directory. If
    that is lost everything is read again and found to be known.
    """
    result = Imported(lifted=lift_unsubscriptions(settings, ledger))
    lake = Lake(settings.lake)
    batches = [batch.seq for batch in lake.active("receipts")]
    done = _read_mark(settings)
    if not any(seq > done for seq in batches):
        return result
    waiting: list[int] = []
    con = connect(settings)
    try:
        names = ", ".join(f'"{column}"' for column in COLUMNS)
        cursor = con.execute(
            f"select {names}, _batch from ({versions(lake, entities()['receipts'])}) "
            "where _batch > $done and coalesce(message_id, provider_id) is not null "
            "order by _batch, receipt_id",
            {"done": done},
        )
        while rows := cursor.fetchmany(CHUNK):
            receipts = [_receipt(row) for row in rows]
            found = record(ledger, receipts, rules, now, partial(address_of, settings))
            result.read += len(rows)
            result.new += found.new
            result.known += found.known
            result.unmatched += len(found.unmatched)
            result.suppressed += found.suppressed
            waiting += [rows[i][-1] for i in found.unmatched if receipts[i].at > now - RETRIED]
    finally:
        con.close()
    _write_mark(settings, min(waiting) - 1 if waiting else max(batches))
    return result


def _receipt(row: tuple) -> Receipt:
    body = dict(zip(COLUMNS, row, strict=False))
    # The contract has checked the kinds; a provider's longer text is of no use here.
    body["at"] = body["at"].replace(tzinfo=UTC)
    body["detail"] = (body["detail"] or "")[:4000] or None
    return Receipt(**body)


def _mark(settings: Settings) -> Path:
    return settings.home / "receipts_imported.json"


def _read_mark(settings: Settings) -> int:
    path = _mark(settings)
    if not path.exists():
        return 0
    try:
        return int(json.loads(path.read_text("utf-8"))["through_batch"])
    except (ValueError, KeyError, TypeError):
        return 0


def _write_mark(settings: Settings, batch: int) -> None:
    put(_mark(settings), json.dumps({"through_batch": batch}).encode())
