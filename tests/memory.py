"""DuckDB in memory with the schemas and entities that models read."""

import datetime as dt
from typing import Any

import duckdb
import pyarrow as pa

from careloop.contract import entities

Row = dict[str, Any]
SCHEMAS = ("raw", "run", "staging", "intermediate", "marts")


def open_raw(raw: dict[str, list[Row]]) -> duckdb.DuckDBPyConnection:
    """A database with every entity of the contract in schema raw, holding these rows."""
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'; set threads = 1")
    for schema in SCHEMAS:
        con.execute(f"create schema {schema}")
    for entity in entities().values():
        kinds = {c.name: c.sql_type for c in entity.columns.values()} | {"_source": "varchar"}
        ddl = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
        con.execute(f"create table raw.{entity.name} ({ddl})")
        fill(con, f"raw.{entity.name}", raw.get(entity.name, []))
    return con


def fill(con: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    """Add rows to a table; the columns they do not name stay null."""
    if rows:
        names = sorted({name for row in rows for name in row})
        data = pa.Table.from_pylist([{n: row.get(n) for n in names} for row in rows])
        con.register("new_rows", data)
        con.execute(f"insert into {table} by name select * from new_rows")
        con.unregister("new_rows")


def write_context(
    con: duckdb.DuckDBPyConnection, as_of: dt.datetime, today: dt.date, zone: str, currency: str
) -> None:
    """run.context of a run. as_of: UTC without zone; today: its local day."""
    con.execute(
        "create or replace table run.context as select ?::timestamp as as_of_utc, "
        "?::date as as_of_date, ? as zone, ? as currency, 'h' as pack_hash",
        [as_of, today, zone, currency],
    )
