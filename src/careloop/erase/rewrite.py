"""Rewriting the files that name a customer, each replaced whole, so that a crash leaves either."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from careloop.contract import Entity, entities
from careloop.durable import move
from careloop.lake.batches import Lake
from careloop.lake.erasures import REDACTED, anonymised, customer_columns, is_erased, renamed
from careloop.warehouse import literal, quote

# Shorter texts are found by chance in other people's data.
SHORTEST = 5


@dataclass(frozen=True)
class Person:
    """Who is erased. values: every personal text known of them, in all versions."""

    customer_id: str
    pseudonym: str
    values: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        return {self.customer_id: self.pseudonym}

    @property
    def tell_tale(self) -> tuple[str, ...]:
        """The texts that can only be theirs, the longest first."""
        long = {v for v in self.values if len(v) >= SHORTEST}
        return tuple(sorted(long, key=lambda v: (-len(v), v)))


def personal_values(con: duckdb.DuckDBPyConnection, lake: Lake, customer_id: str) -> dict:
    """Column of contacts → every value the customer ever had there, in any batch."""
    contacts = entities()["contacts"]
    found: dict[str, set[str]] = {
        c: set() for c in contacts.columns if contacts.columns[c].personal
    }
    for path in _files(lake, contacts, ("rows", "held")):
        columns = ", ".join(quote(c) for c in found)
        rows = con.execute(
            f"select {columns} from read_parquet({literal(path)}) where customer_id = $id",
            {"id": customer_id},
        ).fetchall()
        for row in rows:
            for column, value in zip(found, row, strict=True):
                if value not in (None, ""):
                    found[column].add(str(value))
    return found


def rewrite_lake(con: duckdb.DuckDBPyConnection, lake: Lake, person: Person) -> int:
    """Rejected rows first and contacts last: should it break off, what is to be looked for is
    still there when it is begun again. Returns how many files changed."""
    changed = 0
    known = list(entities().values())
    for entity in known:
        for path in _files(lake, entity, ("rejects",)):
            changed += _rewrite_rejects(con, path, entity, person)
    for entity in [e for e in known if not e.personal] + [e for e in known if e.personal]:
        columns = customer_columns(list(entity.columns))
        for path in _files(lake, entity, ("rows", "held")) if columns else []:
            theirs = " or ".join(is_erased(c, person.names) for c in columns)
            changed += _rewrite(con, path, theirs, anonymised(entity, person.names))
    return changed


def rewrite_other_tables(
    con: duckdb.DuckDBPyConnection, paths: Iterable[Path], person: Person
) -> int:
    """Parquet files outside the lake, such as archived decisions and the ledger's mirror: the id
    becomes the pseudonym."""
    changed = 0
    for path in paths:
        described = con.execute(
            f"select column_name from (describe from read_parquet({literal(path)}))"
        ).fetchall()
        names = [row[0] for row in described]
        columns = customer_columns(names)
        # The suppression list names customers and hashes of addresses in one column.
        columns += ["key"] if {"scope", "key"} <= set(names) else []
        # A case may be the customer.
        columns += ["case_id"] if {"case_kind", "case_id"} <= set(names) else []
        if columns:
            theirs = " or ".join(is_erased(c, person.names) for c in columns)
            replaced = ", ".join(f"{renamed(c, person.names)} as {quote(c)}" for c in columns)
            changed += _rewrite(con, path, theirs, replaced)
    return changed


def rewrite_text(path: Path, person: Person) -> bool:
    """A text file: lines of JSON about the customer keep their ids only; elsewhere the texts that
    can only be theirs are blotted out. Returns whether it changed."""
    try:
        before = path.read_text("utf-8")
    except UnicodeDecodeError:
        return False
    lines = before.splitlines(keepends=True)
    after = "".join(_line(line, person) for line in lines)
    if after == before:
        return False
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(after, "utf-8")
    fresh.chmod(path.stat().st_mode & 0o777)
    move(fresh, path)
    return True


def _line(line: str, person: Person) -> str:
    if line.startswith("{") and json.dumps(person.customer_id, ensure_ascii=False) in line:
        try:
            body = json.loads(line)
        except ValueError:
            body = {}
        if body.get("customer_id") == person.customer_id:
            kept = {k: body[k] for k in ("message_id", "decision_key", "rule") if k in body}
            kept |= {"customer_id": person.pseudonym, "text": REDACTED}
            return json.dumps(kept, ensure_ascii=False) + "\n"
    for value in person.tell_tale:
        line = line.replace(value, REDACTED)
        line = line.replace(json.dumps(value)[1:-1], REDACTED)
    return line


def _rewrite_rejects(
    con: duckdb.DuckDBPyConnection, path: Path, entity: Entity, person: Person
) -> int:
    """A rejected row is theirs if its key, or what it says anywhere, is. Only that it was
    rejected is kept."""
    me = literal(person.customer_id)
    own = [f"key = {me}", f"key like {literal(_escaped(person.customer_id) + '/%')} escape '\\'"]
    if entity.key[0] not in ("customer_id",):
        own = []
    own += [f"contains(raw, {literal(text)})" for text in _as_written(person.tell_tale)]
    if customer_columns(list(entity.columns)):
        word = r"(^|[^\w-])" + _pattern(person.customer_id) + r"($|[^\w-])"
        own.append(f"regexp_matches(raw, {literal(word)})")
    theirs = f"coalesce({' or '.join(own) or 'false'}, false)"
    text = literal(REDACTED)
    key = f"case when {theirs} then replace(key, {me}, {literal(person.pseudonym)}) else key end"
    replaced = (
        f"{key} as key, case when {theirs} then {text} else reason end as reason, "
        f"case when {theirs} then {text} else raw end as raw"
    )
    return _rewrite(con, path, theirs, replaced)


def _rewrite(con: duckdb.DuckDBPyConnection, path: Path, theirs: str, replaced: str) -> int:
    """Replace the file if a row is theirs; the order of rows stays, later batches count on it."""
    relation = f"read_parquet({literal(path)})"
    if not con.execute(f"select count(*) from {relation} where {theirs}").fetchall()[0][0]:
        return 0
    fresh = path.with_name(path.name + ".new")
    con.execute(
        f"copy (select * replace ({replaced}) from {relation}) to {literal(fresh)} "
        "(format parquet, compression zstd)"
    )
    move(fresh, path)
    return 1


def _files(lake: Lake, entity: Entity, kinds: tuple[str, ...]) -> list[Path]:
    """Of every batch ever, superseded ones too."""
    folders = [lake.folder(batch) for batch in lake.batches(entity.name)]
    paths = [folder / f"{kind}.parquet" for folder in folders for kind in kinds]
    return [path for path in paths if path.exists()]


def _as_written(values: Iterable[str]) -> list[str]:
    """The texts, and as they stand in JSON where that differs."""
    return [w for v in values for w in dict.fromkeys([v, json.dumps(v, ensure_ascii=False)[1:-1]])]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _pattern(text: str) -> str:
    return "".join(c if c.isalnum() else f"\\x{{{ord(c):x}}}" for c in text)
