"""Whom, and which addresses, not to write to. Addresses are kept as salted hashes."""

import hashlib
import re
from datetime import datetime

from sqlalchemy import Connection, func, insert, or_, select

from careloop.ledger.messages import Message, insert_new
from careloop.ledger.tables import suppressions

S = suppressions.c


def normalised(address: str) -> str:
    """An address as it is compared: e-mail in small letters; of a phone number the last eleven
    digits, so that country codes and signs don't matter; anything else trimmed."""
    text = address.strip()
    if "@" in text:
        return text.lower()
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) >= 7 and re.fullmatch(r"[0-9+()\-./\s]+", text):
        return digits.lstrip("0")[-11:]
    return text


# The same in DuckDB's SQL, over a column.
NORMALISED_SQL = r"""case
    when trim({0}) like '%@%' then lower(trim({0}))
    when
        length(regexp_replace({0}, '[^0-9]', '', 'g')) >= 7
        and regexp_full_match(trim({0}), '[0-9+()\-./\s]+')
        then right(ltrim(regexp_replace({0}, '[^0-9]', '', 'g'), '0'), 11)
    else trim({0})
end"""


def address_hash(salt: str, address: str) -> str:
    """Hex sha256 of the ledger's salt and the normalised address."""
    return hashlib.sha256((salt + normalised(address)).encode()).hexdigest()


def _suppress(
    con: Connection,
    scope: str,
    key: str,
    channel: str | None,
    purpose: str | None,
    reason: str,
    at: datetime,
) -> str:
    parts = [scope, key, channel or "", purpose or "", reason, at.isoformat()]
    name = hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]
    insert_new(
        con,
        suppressions,
        [
            {
                "suppression_id": name,
                "scope": scope,
                "key": key,
                "channel": channel,
                "purpose": purpose,
                "reason": reason,
                "at_utc": at,
            }
        ],
    )
    return name


def suppress_customer(
    con: Connection,
    customer_id: str,
    reason: str,
    at: datetime,
    *,
    channel: str | None = None,
    purpose: str | None = None,
) -> str:
    """Don't write to this customer (on the channel, for the purpose); the same twice is one row.
    Returns the suppression's id."""
    return _suppress(con, "customer", customer_id, channel, purpose, reason, at)


def suppress_address(
    con: Connection,
    hashed: str,
    reason: str,
    at: datetime,
    *,
    channel: str | None = None,
    purpose: str | None = None,
) -> str:
    """Don't write to the address with this ``address_hash``, whoever has it."""
    return _suppress(con, "address", hashed, channel, purpose, reason, at)


def lift(con: Connection, suppression_id: str, at: datetime) -> bool:
    """End a suppression; False if there is none of that id in force. It is written anew at the
    end of the table, where the mirror finds it."""
    row = con.execute(
        select(suppressions).where(S.suppression_id == suppression_id, S.lifted_at.is_(None))
    ).first()
    if row is None:
        return False
    con.execute(suppressions.delete().where(S.seq == row.seq))
    kept = {name: value for name, value in row._mapping.items() if name != "seq"}
    con.execute(insert(suppressions).values({**kept, "lifted_at": at}))
    return True


def suppressed_by(con: Connection, message: Message, address: str | None) -> str | None:
    """Why this message must not go, or None."""
    found = con.execute(
        select(S.reason)
        .where(
            S.key.in_([message.customer_id, address]),
            S.lifted_at.is_(None),
            or_(S.channel.is_(None), S.channel == message.channel),
            or_(S.purpose.is_(None), S.purpose == message.purpose),
        )
        .order_by(S.seq)
    )
    return found.scalars().first()


def in_force(con: Connection) -> int:
    """How many suppressions hold."""
    return con.execute(select(func.count()).where(S.lifted_at.is_(None))).scalar_one()
