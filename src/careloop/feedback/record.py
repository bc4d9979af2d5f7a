"""Receipts into the ledger, each with its consequences in the same transaction.

Every consequence is named by what caused it, so the same receipt again changes nothing, whoever
brings it and however many bring it at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from careloop.feedback.receipts import Receipt
from careloop.ledger.database import Ledger, utc
from careloop.ledger.messages import insert_new
from careloop.ledger.suppressions import address_hash, suppress_address, suppress_customer
from careloop.ledger.tables import feedback, messages, suppressions
from careloop.program.base import rough_days
from careloop.program.contact import Feedback

# (customer_id, channel) → the address it goes to, if one is known.
AddressOf = Callable[[str, str], str | None]
CHUNK = 500


@dataclass
class Recorded:
    """What became of receipts. new, known: how many; unmatched: positions of those whose message
    nobody knows; suppressed: suppressions that are new."""

    new: int = 0
    known: int = 0
    unmatched: list[int] = field(default_factory=list)
    suppressed: int = 0


def record(
    ledger: Ledger,
    receipts: Sequence[Receipt],
    rules: Feedback,
    now: datetime,
    address_of: AddressOf = lambda *_: None,
) -> Recorded:
    """Write receipts and what follows from them; ``now`` is recorded as the time they came in.

    A hard bounce ends the use of the address on that channel, soft ones do when there are too
    many (``rules``), a complaint ends its purposes on every channel, an unsubscription that
    purpose on that channel. Receipts of messages nobody knows are left out and reported.
    """
    result = Recorded()
    salt = ledger.fact("salt")
    for start in range(0, len(receipts), CHUNK):
        with ledger.write() as con:
            _Recording(con, salt, rules, utc(now), address_of, result).take(
                receipts[start : start + CHUNK], start
            )
    return result


@dataclass
class _Recording:
    con: Connection
    salt: str
    rules: Feedback
    now: datetime
    address_of: AddressOf
    result: Recorded

    def take(self, receipts: Sequence[Receipt], offset: int) -> None:
        matched = self._match(receipts, offset)
        given: dict[str, tuple[Receipt, RowMapping]] = {}
        for receipt, message in matched:
            given.setdefault(receipt.feedback_id(message["message_id"]), (receipt, message))
        known = self.con.scalars(
            select(feedback.c.feedback_id).where(feedback.c.feedback_id.in_(given))
        )
        for key in known.all():
            del given[key]
        insert_new(self.con, feedback, [self._row(key, *new) for key, new in given.items()])
        self.result.new += len(given)
        self.result.known += len(matched) - len(given)
        before = self._suppressions()
        # Only of new ones: an old bounce told again must not hit an address that is newer.
        for receipt, message in given.values():
            self._follow(receipt, message)
        self.result.suppressed += self._suppressions() - before

    def _match(self, receipts: Sequence[Receipt], offset: int) -> list[tuple[Receipt, RowMapping]]:
        columns = [messages.c[n] for n in ("message_id", "provider_id", "customer_id", "channel",
                                           "purpose")]  # fmt: skip
        by_id, by_provider = {}, {}
        ids = [r.message_id for r in receipts if r.message_id]
        names = [r.provider_id for r in receipts if not r.message_id]
        for row in self.con.execute(select(*columns).where(messages.c.message_id.in_(ids))):
            by_id[row.message_id] = row._mapping
        for row in self.con.execute(select(*columns).where(messages.c.provider_id.in_(names))):
            by_provider[row.provider_id] = row._mapping
        found = []
        for place, receipt in enumerate(receipts, offset):
            message = (
                by_id.get(receipt.message_id)
                if receipt.message_id
                else by_provider.get(receipt.provider_id)
            )
            if message is None:
                self.result.unmatched.append(place)
            else:
                found.append((receipt, message))
        return found

    def _row(self, key: str, receipt: Receipt, message: RowMapping) -> dict[str, Any]:
        return {
            "feedback_id": key,
            "message_id": message["message_id"],
            "customer_id": message["customer_id"],
            "channel": message["channel"],
            "kind": receipt.kind,
            "at_utc": utc(receipt.at),
            "received_at": self.now,
            "detail": receipt.status,
        }

    def _suppressions(self) -> int:
        """The table's last number; it grows by one with every new row."""
        last = select(suppressions.c.seq).order_by(suppressions.c.seq.desc()).limit(1)
        return self.con.scalar(last) or 0

    def _follow(self, receipt: Receipt, message: RowMapping) -> None:
        customer, channel, at = message["customer_id"], message["channel"], utc(receipt.at)
        if receipt.kind == "hard_bounce":
            self._end_address(receipt, message, "hard bounce", at)
        elif receipt.kind == "soft_bounce":
            if (when := self._too_many(customer, channel)) is not None:
                reason = f"{self.rules.soft_bounces} soft bounces"
                self._end_address(receipt, message, reason, when)
        elif receipt.kind == "complaint":
            for purpose in sorted(self.rules.complaint_stops):
                suppress_customer(self.con, customer, "reported as spam", at, purpose=purpose)
        elif receipt.kind == "unsubscribed":
            suppress_customer(
                self.con, customer, "unsubscribed", at, channel=channel,
                purpose=message["purpose"],
            )  # fmt: skip

    def _end_address(
        self, receipt: Receipt, message: RowMapping, reason: str, at: datetime
    ) -> None:
        """No longer use the address on this channel; of a customer whose address is not known
        any more, the channel."""
        customer, channel = message["customer_id"], message["channel"]
        address = receipt.address or self.address_of(customer, channel)
        if address:
            hashed = address_hash(self.salt, address)
            suppress_address(self.con, hashed, reason, at, channel=channel)
        else:
            suppress_customer(self.con, customer, reason, at, channel=channel)

    def _too_many(self, customer: str, channel: str) -> datetime | None:
        """When the customer's messages on the channel had first bounced too often in too short a
        time; several bounces of one message are one."""
        times = self.con.execute(
            select(feedback.c.message_id, feedback.c.at_utc)
            .where(
                feedback.c.customer_id == customer,
                feedback.c.channel == channel,
                feedback.c.kind == "soft_bounce",
            )
            .order_by(feedback.c.at_utc)
        ).all()
        first = {row.message_id: row.at_utc for row in reversed(times)}
        found = sorted(first.values())
        span = timedelta(days=rough_days(self.rules.soft_bounces_within))
        most = self.rules.soft_bounces
        ends = (
            found[i] for i in range(most - 1, len(found)) if found[i] - found[i - most + 1] <= span
        )
        return next(ends, None)
