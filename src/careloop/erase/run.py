"""The steps of an erasure, each of which may be repeated."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from careloop.access_log import checked_reason, log_file
from careloop.access_log import record as record_access
from careloop.contract import entities
from careloop.erase.ledger import erase_in_ledger
from careloop.erase.rewrite import (
    Person,
    personal_values,
    rewrite_lake,
    rewrite_other_tables,
    rewrite_text,
)
from careloop.errors import SettingsError
from careloop.home import hold
from careloop.lake.batches import Lake
from careloop.lake.erasures import Erasures, customer_columns
from careloop.lake.relations import current
from careloop.ledger.database import open_ledger
from careloop.ledger.suppressions import normalised
from careloop.run_info import utc_text
from careloop.settings import Settings
from careloop.warehouse import connect, quote

ADDRESSES = ("phone", "email", "wecom_id", "push_token")
TEXTS = {".jsonl", ".json", ".html", ".txt", ".csv", ".md", ".log"}


@dataclass(frozen=True)
class Erased:
    """What was done. files: that were rewritten. addresses: now suppressed by their hashes.
    shared: other customers with one of these addresses, who are not reached on it any more."""

    pseudonym: str
    files: int
    addresses: int
    shared: int


def erase(settings: Settings, customer_id: str, why: str | None, at: datetime) -> Erased:
    """Remove the customer's personal data from everything careloop keeps, for good.

    Orders, interactions and what was sent stay under a pseudonym, so that no figure changes. The
    addresses stay as salted hashes, so that nobody writes to them after the next import. An
    erasure that broke off is ended by starting it again. Raises SettingsError without a reason
    or for a customer who is nowhere, and BusyError while another run holds the home directory.
    """
    why = checked_reason(why)
    customer_id = customer_id.strip()
    with hold(settings), hold(settings.apart("watch")):
        lake, erasures = Lake(settings.lake), Erasures(settings.lake)
        con = connect(settings)
        try:
            pseudonym = erasures.pseudonym(customer_id)
            if pseudonym not in erasures.names and not _is_known(con, lake, customer_id):
                raise SettingsError(
                    f"there is no customer {customer_id!r}",
                    "give the customer's id as the CRM has it; nothing was changed",
                )
            found = personal_values(con, lake, customer_id)
            addresses = sorted(set().union(*(found[c] for c in ADDRESSES)))
            shared = _sharing(con, lake, customer_id, addresses)
            record_access(settings, pseudonym, f"erasure: {why}", sorted(found), "")
            with open_ledger(settings) as ledger:
                erase_in_ledger(ledger, customer_id, pseudonym, addresses, at)
            erasures.add(customer_id, utc_text(at))
            values = tuple(sorted(set().union(*found.values())))
            person = Person(customer_id, pseudonym, values)
            files = sum(rewrite_text(path, person) for path in _texts(settings))
            files += rewrite_other_tables(con, _tables(settings), person)
            _drop_working_files(settings, lake)
            files += rewrite_lake(con, lake, person)
        finally:
            con.close()
    return Erased(pseudonym, files, len(addresses), shared)


def _is_known(con: duckdb.DuckDBPyConnection, lake: Lake, customer_id: str) -> bool:
    """Whether any loaded or waiting row names the customer."""
    for entity in entities().values():
        columns = customer_columns(list(entity.columns))
        for kind in ("rows", "held"):
            for path in lake.files(entity.name, kind) if columns else []:
                where = " or ".join(f"{quote(c)} = $id" for c in columns)
                sql = f"select 1 from read_parquet($path) where {where} limit 1"
                if con.execute(sql, {"id": customer_id, "path": path}).fetchall():
                    return True
    return False


def _sharing(
    con: duckdb.DuckDBPyConnection, lake: Lake, customer_id: str, addresses: list[str]
) -> int:
    if not addresses:
        return 0
    wanted = {normalised(address) for address in addresses}
    relation = current(lake, entities()["contacts"])
    columns = ", ".join(quote(c) for c in ADDRESSES)
    rows = con.execute(
        f"select {columns} from ({relation}) where customer_id <> $id", {"id": customer_id}
    )
    count = 0
    while chunk := rows.fetchmany(10_000):
        count += sum(any(v and normalised(v) in wanted for v in row) for row in chunk)
    return count


def _texts(settings: Settings) -> Iterator[Path]:
    """Dry runs, reports and whatever else is readable; the access log is never changed."""
    skipped = (settings.lake, settings.build, settings.apart("watch").build, settings.published)
    for path in sorted(settings.home.rglob("*")):
        is_ours = not any(path.is_relative_to(folder) for folder in skipped)
        if is_ours and path.suffix in TEXTS and path.is_file() and path != log_file(settings):
            yield path


def _tables(settings: Settings) -> list[Path]:
    skipped = (settings.lake, settings.build, settings.apart("watch").build, settings.published)
    return [
        path
        for path in sorted(settings.home.rglob("*.parquet"))
        if not any(path.is_relative_to(folder) for folder in skipped)
    ]


def _drop_working_files(settings: Settings, lake: Lake) -> None:
    """The warehouse is built anew by every run; it may hold contacts merged from two sources."""
    if settings.build.exists():
        shutil.rmtree(settings.build)
    apart = settings.apart("watch")
    for path in (*settings.spill.glob("*"), *apart.build.glob("*")):
        if path.is_dir():
            shutil.rmtree(path)
        elif path != apart.lock:
            path.unlink()
    lake.sweep()
