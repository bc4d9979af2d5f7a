"""The ledger as Parquet files, which the warehouse reads instead of the database.

``home/ledger_mirror/<table>/<from>-<to>.parquet`` holds the rows with these ``seq``; files are
written once and never changed. Rows of ledgers are only added, so each export writes what is new.
A file that lies within a longer one counts for nothing.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Table, func, select, text

from careloop.durable import move, put
from careloop.errors import CareloopError
from careloop.ledger.database import Ledger, has_ledger, open_ledger
from careloop.ledger.suppressions import NORMALISED_SQL
from careloop.ledger.tables import events, metadata
from careloop.program.channels import ADDRESS
from careloop.settings import Settings
from careloop.warehouse import literal

# Tables of schema `ledger` of the warehouse; all times are UTC. Without personal data.
LEDGER_TABLES = {
    "messages": "message_id varchar, decision_key varchar, customer_id varchar, rule varchar, "
    "rule_version varchar, occasion varchar, purpose varchar, channel varchar, kind varchar, "
    "is_cap_exempt boolean, cap_group varchar, contact_on date, not_before timestamp, "
    "expires_at timestamp, due_at timestamp, owner_role varchar, owner_id varchar, offer varchar, "
    "segment varchar, pack varchar, pack_hash varchar, as_of timestamp",
    "events": "seq bigint, message_id varchar, at_utc timestamp, state varchar, reason varchar, "
    "attempt integer",
    "exposures": "decision_key varchar, customer_id varchar, rule varchar, rule_version varchar, "
    "occasion varchar, arm varchar, holdout_scope varchar, holdout_share double, "
    "segment varchar, pack varchar, pack_hash varchar, as_of timestamp",
    "feedback": "feedback_id varchar, message_id varchar, customer_id varchar, channel varchar, "
    "kind varchar, at_utc timestamp, received_at timestamp",
    "suppressions": "customer_id varchar, channel varchar, purpose varchar, reason varchar, "
    "at_utc timestamp, lifted_at timestamp",
    "escalations": "escalation_id varchar, case_kind varchar, case_id varchar, clock varchar, "
    "cycle integer, level varchar, customer_id varchar, role varchar, staff_id varchar, "
    "owner_id varchar, department varchar, target varchar, started_at timestamp, "
    "raised_at timestamp",
    "escalation_events": "seq bigint, escalation_id varchar, at_utc timestamp, state varchar, "
    "elapsed_seconds bigint",
}
# What the files hold: the same, but of suppressions whom they name.
FILES = {
    **{table: f"seq bigint, {columns}" for table, columns in LEDGER_TABLES.items()},
    "events": LEDGER_TABLES["events"],
    "escalation_events": LEDGER_TABLES["escalation_events"],
    "suppressions": "seq bigint, suppression_id varchar, scope varchar, key varchar, "
    "channel varchar, purpose varchar, reason varchar, at_utc timestamp, lifted_at timestamp",
}
# Events first: what they are about is then in the messages, which are read later.
ORDER = (
    "events",
    "feedback",
    "suppressions",
    "exposures",
    "messages",
    "escalation_events",
    "escalations",
)
ARROW = {
    "varchar": pa.string(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "bigint": pa.int64(),
    "integer": pa.int32(),
    "double": pa.float64(),
}
ROWS = 50_000
IDENTITY = "ledger.json"


def folder(settings: Settings) -> Path:
    """Where the mirror is."""
    return settings.home / "ledger_mirror"


def files(settings: Settings, table: str) -> list[Path]:
    """The files that count, in the order of their rows."""
    found = sorted((folder(settings) / table).glob("*-*.parquet"), key=_span_key)
    counted: list[Path] = []
    for path in found:
        if not counted or _span(path)[1] > _span(counted[-1])[1]:
            counted.append(path)
    return counted


def _span(path: Path) -> tuple[int, int]:
    first, _, last = path.stem.partition("-")
    return int(first), int(last)


def _span_key(path: Path) -> tuple[int, int]:
    first, last = _span(path)
    return first, -last


def mirrored_to(settings: Settings, table: str) -> int:
    """The ``seq`` up to which the files hold every row."""
    found = files(settings, table)
    return _span(found[-1])[1] if found else 0


def export(ledger: Ledger, settings: Settings) -> dict[str, int]:
    """Write what is new; returns the number of new rows by table. Raises CareloopError when the
    ledger is older than its mirror."""
    refuse_older_ledger(ledger, settings)
    _write_identity(ledger, settings)
    return {table: _export(ledger, settings, table) for table in ORDER}


def _write_identity(ledger: Ledger, settings: Settings) -> None:
    path = folder(settings) / IDENTITY
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, (json.dumps({"ledger_id": ledger.fact("ledger_id")}) + "\n").encode())


def last_seq(ledger: Ledger, table: Table) -> int:
    """The highest number up to which every row is committed."""
    with ledger.read() as con:
        if not ledger.is_sqlite:
            # Numbers are given before transactions end: wait for those under way.
            con.execute(text(f"lock table {table.name} in share mode"))
        return con.execute(select(func.coalesce(func.max(table.c.seq), 0))).scalar_one()


def _export(ledger: Ledger, settings: Settings, name: str) -> int:
    table = metadata.tables[name]
    first, last = mirrored_to(settings, name) + 1, last_seq(ledger, table)
    if last < first:
        return 0
    target = folder(settings) / name / f"{first:012d}-{last:012d}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}")
    count = 0
    try:
        schema = schema_of(FILES[name])
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in rows_between(ledger, table, schema, first, last):
                writer.write_batch(batch)
                count += batch.num_rows
        move(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return count


def schema_of(columns: str) -> pa.Schema:
    """Arrow's schema for a list of columns as it stands in ``FILES``."""
    pairs = [column.split() for column in columns.split(", ")]
    return pa.schema([(name, ARROW[kind]) for name, kind in pairs])


def rows_between(
    ledger: Ledger, table: Table, schema: pa.Schema, first: int, last: int
) -> Iterator[pa.RecordBatch]:
    rows = (
        select(*[table.c[name] for name in schema.names])
        .where(table.c.seq.between(first, last))
        .order_by(table.c.seq)
    )
    with ledger.read() as con:
        result = con.execution_options(yield_per=ROWS).execute(rows)
        for part in result.partitions():
            columns = list(zip(*part, strict=True))
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)


def refuse_older_ledger(ledger: Ledger, settings: Settings) -> None:
    """Raises CareloopError when the mirror knows more than the ledger: an old copy was restored
    (and would send again what went out since), or it is another ledger."""
    path = folder(settings) / IDENTITY
    if not path.exists():
        return
    hint = (
        "restore the newest copy of the ledger; only if what happened since may be forgotten, "
        f"and sent again, move {folder(settings)} away"
    )
    if json.loads(path.read_text("utf-8"))["ledger_id"] != ledger.fact("ledger_id"):
        raise CareloopError(f"{ledger.name} is not the ledger that was mirrored here", hint)
    for name in ORDER:
        there, last = last_seq(ledger, metadata.tables[name]), mirrored_to(settings, name)
        if last > there:
            raise CareloopError(
                f"{ledger.name} is older than its mirror: {name} end at {there:,}, "
                f"{last:,} were mirrored",
                hint,
            )
    if not _same_last_event(ledger, settings):
        raise CareloopError(
            f"{ledger.name} is not what was mirrored: an old copy was restored and used since", hint
        )


def _same_last_event(ledger: Ledger, settings: Settings) -> bool:
    found = files(settings, "events")
    if not found:
        return True
    with pq.ParquetFile(found[-1]) as file:
        group = file.read_row_group(file.num_row_groups - 1)
    last = group.slice(group.num_rows - 1).to_pylist()[0]
    with ledger.read() as con:
        row = con.execute(select(events).where(events.c.seq == last["seq"])).first()
    return row is not None and {name: getattr(row, name) for name in last} == last


def write_ledger(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Schema ``ledger`` of the warehouse: what is new is mirrored, then views over the mirror;
    empty tables where there is no ledger. Needs ``raw.contacts``. Suppressed addresses become
    the customers who have them. Raises CareloopError when the ledger is older than its mirror."""
    con.execute("create schema ledger")
    salt = ""
    if has_ledger(settings):
        with open_ledger(settings) as ledger:
            export(ledger, settings)
            salt = ledger.fact("salt")
    elif (folder(settings) / IDENTITY).exists():
        raise CareloopError(
            f"the ledger is gone, its mirror in {folder(settings)} is there",
            "restore the ledger from its backup; only if it may be forgotten, move the mirror away",
        )
    for table, columns in LEDGER_TABLES.items():
        found = [str(path) for path in files(settings, table)]
        if not found:
            con.execute(f"create table ledger.{table} ({columns})")
        elif table == "suppressions":
            con.execute(f"create table ledger.{table} ({columns})")
            write_suppressions(con, reading(found), salt)
        else:
            names = ", ".join(column.split()[0] for column in columns.split(", "))
            con.execute(f"create view ledger.{table} as select {names} from {reading(found)}")


def reading(paths: list[str]) -> str:
    """SQL that reads Parquet files."""
    return f"read_parquet([{', '.join(literal(path) for path in paths)}])"


def write_suppressions(con: duckdb.DuckDBPyConnection, rows: str, salt: str) -> None:
    """Fill ``ledger.suppressions`` from a relation like the files'."""
    con.execute(
        f"create temp table suppressed as select * from {rows} "
        "qualify row_number() over (partition by suppression_id order by seq desc) = 1"
    )
    con.execute(
        "insert into ledger.suppressions "
        "select key, channel, purpose, reason, at_utc, lifted_at "
        "from suppressed where scope = 'customer' order by seq"
    )
    for column in sorted({column for column in ADDRESS.values() if column}):
        channels = [channel for channel, needs in ADDRESS.items() if needs == column]
        con.execute(_by_address(column, channels, salt))
    con.execute("drop table suppressed")


def _by_address(column: str, channels: list[str], salt: str) -> str:
    """Insert the suppressions of addresses in one column of contacts, one row per channel."""
    listed = ", ".join(literal(channel) for channel in channels)
    hashed = f"sha256({literal(salt)} || {NORMALISED_SQL.format('c.' + column)})"
    return f"""
insert into ledger.suppressions
with

wanted as (
    select s.*, coalesce(s.channel, c.channel) as on_channel
    from suppressed as s
    inner join (select unnest([{listed}]) as channel) as c
        on s.channel is null or s.channel = c.channel
    where s.scope = 'address'
),

addresses as (
    select c.customer_id, {hashed} as hashed
    from raw.contacts as c
    where c.{column} is not null and exists (from wanted)
)

select a.customer_id, w.on_channel, w.purpose, w.reason, w.at_utc, w.lifted_at
from wanted as w
inner join addresses as a on w.key = a.hashed
order by w.seq, a.customer_id
"""
