"""Statements that run for every message: compiled once, then handed straight to the driver."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.sql.dml import Insert, Update


class Prepared:
    """An insert or update with named parameters. A dispatch is bound by two of these for each
    message, and compiling, caching and wrapping costs more than running them."""

    def __init__(
        self,
        statement: Insert | Update | Callable[[str], Insert],
        columns: Sequence[str] | None = None,
    ) -> None:
        """statement: also a function that makes it for a dialect. columns: those of an insert."""
        self._statement, self._columns = statement, columns
        self._compiled: dict[str, tuple[str, Sequence[str] | None, Mapping[str, Any]]] = {}

    def run(self, con: Connection, *rows: Mapping[str, Any]) -> int:
        """Execute with each of the rows; returns the number of rows changed by one."""
        sql, order, fixed = self._for(con)
        named = [{**fixed, **row} for row in rows]
        values = named if order is None else [[_plain(row[n]) for n in order] for row in named]
        cursor = con.connection.cursor()
        try:
            if len(values) == 1:
                cursor.execute(sql, values[0])
            else:
                cursor.executemany(sql, values)
            return cursor.rowcount
        finally:
            cursor.close()

    def _for(self, con: Connection) -> tuple[str, Sequence[str] | None, Mapping[str, Any]]:
        """The text, the order of its parameters (None: by name), and those with fixed values."""
        name = con.dialect.name
        if name not in self._compiled:
            keys = list(self._columns) if self._columns else None
            statement = self._statement(name) if callable(self._statement) else self._statement
            compiled = statement.compile(dialect=con.dialect, column_keys=keys)
            fixed = {key: value for key, value in compiled.params.items() if value is not None}
            self._compiled[name] = (str(compiled), compiled.positiontup, fixed)
        return self._compiled[name]


def _plain(value: Any) -> Any:
    """As SQLite keeps it: SQLAlchemy's text for times and days."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "microseconds")
    return value.isoformat() if isinstance(value, date) else value
