"""DuckDB connections with the same settings everywhere."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from careloop.settings import Settings


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
