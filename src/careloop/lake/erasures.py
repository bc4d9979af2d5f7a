"""Customers that were erased: known by a pseudonym only, now and whenever they come again.

``lake/erasures.jsonl`` has one line per erased customer, without the customer's id: the pseudonym
is a keyed hash of it, so that rows a CRM exports again later fall to the same pseudonym. Without
the key (``lake/.erasure-key``) nobody can tell which customer it was.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from careloop.contract import Entity
from careloop.durable import put, sync
from careloop.errors import SourceError
from careloop.warehouse import literal, quote

PREFIX = "erased-"
DIGITS = 20
REDACTED = "(erased)"
# Columns that name a customer, whatever the entity.
CUSTOMER_COLUMNS = ("customer_id", "referrer_id", "referred_id")


@dataclass
class Erasures:
    """The erased customers of the lake under ``root``."""

    root: Path
    _names: set[str] | None = field(default=None, repr=False)
    _key: str | None = field(default=None, repr=False)

    @property
    def names(self) -> set[str]:
        """The pseudonyms of everyone erased."""
        if self._names is None:
            path = self._list()
            lines = path.read_text("utf-8").splitlines() if path.exists() else []
            try:
                self._names = {json.loads(line)["pseudonym"] for line in lines}
            except (ValueError, KeyError, TypeError) as error:
                raise SourceError(
                    f"{path} is damaged", "restore it: erased customers would come back"
                ) from error
        return self._names

    def times(self) -> dict[str, datetime]:
        """Pseudonym → when the customer was erased (UTC), in the order it happened."""
        path = self._list()
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return {one["pseudonym"]: datetime.fromisoformat(one["at"]) for one in found}

    def pseudonym(self, customer_id: str) -> str:
        """What the customer is called once erased; of a pseudonym, itself."""
        if customer_id in self.names:
            return customer_id
        body = f"{self._secret()}|{customer_id}".encode()
        return PREFIX + hashlib.sha256(body).hexdigest()[:DIGITS]

    def add(self, customer_id: str, at: str) -> str:
        """Write down that the customer is erased, durably, once; returns the pseudonym."""
        name = self.pseudonym(customer_id)
        if name not in self.names:
            with self._list().open("a", encoding="utf-8") as file:
                file.write(json.dumps({"pseudonym": name, "at": at}) + "\n")
                file.flush()
                os.fsync(file.fileno())
            sync(self.root)
            self.names.add(name)
        return name

    def found_in(
        self, con: duckdb.DuckDBPyConnection, relation: str, columns: list[str]
    ) -> dict[str, str]:
        """Customer id → pseudonym of the erased customers that the columns name."""
        if not self.names or not columns:
            return {}
        ids = " union ".join(
            f"select {quote(c)} as id from ({relation}) where {quote(c)} is not null"
            for c in columns
        )
        name = f"{literal(PREFIX)} || left(sha256({literal(self._secret() + '|')} || id), {DIGITS})"
        known = ", ".join(literal(n) for n in sorted(self.names))
        rows = con.execute(
            f"select id, {name} as name from ({ids}) where name in ({known})"
        ).fetchall()
        return dict(rows)

    def _list(self) -> Path:
        return self.root / "erasures.jsonl"

    def _secret(self) -> str:
        if self._key is None:
            path = self.root / ".erasure-key"
            if not path.exists():
                if self._list().exists():
                    raise SourceError(
                        f"{path} is missing", "restore it: erased customers would come back"
                    )
                self.root.mkdir(parents=True, exist_ok=True)
                put(path, secrets.token_hex(32).encode(), 0o600)
            self._key = path.read_text("ascii").strip()
        return self._key


def customer_columns(columns: list[str]) -> list[str]:
    """Those of the columns that name a customer."""
    return [c for c in columns if c in CUSTOMER_COLUMNS]


def renamed(column: str, names: Mapping[str, str]) -> str:
    """SQL: the column with erased customers under their pseudonyms."""
    cases = " ".join(
        f"when {literal(old)} then {literal(new)}" for old, new in sorted(names.items())
    )
    return f"case {quote(column)} {cases} else {quote(column)} end"


def is_erased(column: str, names: Mapping[str, str]) -> str:
    """SQL: whether the column names one of them; never null."""
    listed = ", ".join(literal(old) for old in sorted(names))
    return f"coalesce({quote(column)} in ({listed}), false)"


def anonymised(entity: Entity, names: Mapping[str, str]) -> str:
    """What to put in ``select * replace (…)`` over rows of the entity: pseudonyms for the ids of
    erased customers, and nothing in what is personal of theirs."""
    parts = [
        f"{renamed(column, names)} as {quote(column)}"
        for column in customer_columns(list(entity.columns))
    ]
    if "customer_id" in entity.columns:
        mine = is_erased("customer_id", names)
        parts += [
            f"case when {mine} then null else {quote(c.name)} end as {quote(c.name)}"
            for c in entity.columns.values()
            if c.erased
        ]
    return ", ".join(parts)
