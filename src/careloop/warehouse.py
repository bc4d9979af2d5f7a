"""DuckDB connections with the same settings everywhere."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from careloop.settings import Settings

Row = dict[str, Any]
Values = Mapping[str, Any] | Sequence[Any] | None


def cores() -> int:
    """Cores this process may use; more DuckDB threads than that are slower."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def options(settings: Settings) -> dict[str, Any]:
    """The options of every connection: DuckDB refuses two kinds to one file in one process.

    What doesn't fit into memory spills into the home directory.
    """
    spill = settings.spill
    spill.mkdir(parents=True, exist_ok=True)
    return {
        "threads": settings.threads or cores(),
        "memory_limit": settings.memory_limit,
        "temp_directory": str(spill),
        "TimeZone": "UTC",
        "autoinstall_known_extensions": False,
    }


def connect(
    settings: Settings, path: Path | None = None, *, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """A connection to ``path``, in memory if None."""
    target = str(path) if path else ":memory:"
    return duckdb.connect(target, read_only=read_only, config=options(settings))


def rows_of(con: duckdb.DuckDBPyConnection, sql: str, values: Values = None) -> list[Row]:
    """The rows of a query, by the names of its columns."""
    result = con.execute(sql, values)
    return _by_name(result, result.fetchall())


def chunks(con: duckdb.DuckDBPyConnection, sql: str, size: int) -> Iterator[list[Row]]:
    """The same, ``size`` rows at a time."""
    result = con.execute(sql)
    while found := result.fetchmany(size):
        yield _by_name(result, found)


def named_in(sql: str, values: Mapping[str, Any]) -> Row:
    """Of the values those that a query names, like $day: DuckDB refuses the others."""
    return {name: value for name, value in values.items() if f"${name}" in sql}


def has_tables(con: duckdb.DuckDBPyConnection, *names: str) -> bool:
    """Whether the database in use, not one attached to it, has tables of all these names."""
    sql = "select table_name from duckdb_tables() where database_name = current_database()"
    return set(names) <= {name for (name,) in con.execute(sql).fetchall()}


def _by_name(result: duckdb.DuckDBPyConnection, found: list[tuple[Any, ...]]) -> list[Row]:
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in found]


def quote(name: str) -> str:
    """``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: object) -> str:
    """``value`` as a SQL text literal, or null."""
    return "null" if value is None else "'" + str(value).replace("'", "''") + "'"


def names_of(columns: Iterable[str], prefix: str = "") -> str:
    """Column names as a quoted list, each with ``prefix`` (such as ``new.``)."""
    return ", ".join(prefix + quote(column) for column in columns)


def key_text(columns: Iterable[str]) -> str:
    """SQL for a key as one text, its parts joined by ``/``; null if a part is."""
    return " || '/' || ".join(f"{quote(column)}::varchar" for column in columns)
