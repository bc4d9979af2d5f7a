"""Schema ``ledger`` of a small warehouse: what the ledger has of some customers, up to now.

The mirror's files hold what was there at the last refresh and are read, never written; what came
since is read from the ledger itself, by its ``seq``.
"""

import duckdb
import pyarrow as pa

from careloop.ledger.database import Ledger, has_ledger, open_ledger
from careloop.ledger.mirror import (
    FILES,
    LEDGER_TABLES,
    ORDER,
    files,
    last_seq,
    mirrored_to,
    reading,
    refuse_older_ledger,
    rows_between,
    schema_of,
    write_suppressions,
)
from careloop.ledger.tables import metadata
from careloop.settings import Settings
from careloop.warehouse import names_of


def write_ledger_of(con: duckdb.DuckDBPyConnection, settings: Settings, customers: str) -> None:
    """Tables as those of ``write_ledger``, of the customers in the relation ``customers`` only.
    Needs their ``raw.contacts``. Raises CareloopError when the ledger is older than its mirror."""
    con.execute("create schema ledger")
    for table, columns in LEDGER_TABLES.items():
        con.execute(f"create table ledger.{table} ({columns})")
    if not has_ledger(settings):
        return
    with open_ledger(settings) as ledger:
        refuse_older_ledger(ledger, settings)
        salt = ledger.fact("salt")
        known = {table: [str(path) for path in files(settings, table)] for table in ORDER}
        # What events are about is in the messages, which are read later.
        newer = {table: _newer(ledger, settings, table) for table in ORDER}
    rows: dict[str, str] = {}
    for table in ORDER:
        con.register(f"careloop_{table}", newer[table])
        rows[table] = f"select * from careloop_{table}"
        if known[table]:
            rows[table] = f"select * from {reading(known[table])} union all by name {rows[table]}"
    for table in ("messages", *(n for n in ORDER if n not in ("messages", "suppressions"))):
        columns = LEDGER_TABLES[table]
        names = names_of(column.split()[0] for column in columns.split(", "))
        con.execute(
            f"insert into ledger.{table} by name select {names} from ({rows[table]}) "
            f"{_only(columns, customers)}"
        )
    write_suppressions(con, f"({rows['suppressions']})", salt)
    for table in ORDER:
        con.unregister(f"careloop_{table}")


def _newer(ledger: Ledger, settings: Settings, name: str) -> pa.Table:
    """Rows that the mirror doesn't have."""
    table, schema = metadata.tables[name], schema_of(FILES[name])
    first, last = mirrored_to(settings, name) + 1, last_seq(ledger, table)
    if last < first:
        return schema.empty_table()
    return pa.Table.from_batches(rows_between(ledger, table, schema, first, last), schema)


def _only(columns: str, customers: str) -> str:
    names = {column.split()[0] for column in columns.split(", ")}
    if "customer_id" in names:
        return f"semi join {customers} using (customer_id)"
    return "semi join ledger.messages using (message_id)" if "message_id" in names else ""
