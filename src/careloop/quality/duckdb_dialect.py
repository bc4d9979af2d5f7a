"""The SQLAlchemy dialect through which Great Expectations talks to DuckDB.

duckdb-engine's own dialect loses results: SQLAlchemy rolls back when a connection goes back to
its pool, and DuckDB then drops what was not fetched yet. The gates only read, so there is no
transaction to begin, commit or roll back. The module itself is handed to Great Expectations as
``dialect_module``, which looks for ``dialect``.
"""

from typing import Any

import duckdb_engine
from sqlalchemy import Connection
from sqlalchemy.dialects import registry
from sqlalchemy.types import NullType

NAME = "careloop_duckdb"


class QuotingPreparer(duckdb_engine.Dialect.preparer):  # type: ignore[name-defined]
    """Quotes every name: DuckDB reserves words that Postgres does not, such as ``at``."""

    def _requires_quotes(self, value: str) -> bool:  # noqa: ARG002
        return True


class CareloopDialect(duckdb_engine.Dialect):
    """Read-only DuckDB without transactions."""

    preparer = QuotingPreparer
    supports_statement_cache = False
    _backslash_escapes = False

    def do_begin(self, connection: Any) -> None: ...

    def do_commit(self, connection: Any) -> None: ...

    def do_rollback(self, connection: Any) -> None: ...

    def get_columns(
        self, connection: Connection, table_name: str, schema: str | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """Names only, from DuckDB's own catalogue: the Postgres way takes five queries a table."""
        rows = connection.exec_driver_sql(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ? "
            "order by column_index",
            (schema, str(table_name)),
        )
        return [
            {"name": row[0], "type": NullType(), "nullable": True, "default": None} for row in rows
        ]

    def get_pk_constraint(self, *_: Any, **__: Any) -> dict[str, Any]:
        """None: the gates read views and dbt's tables, which declare no primary key."""
        return {"constrained_columns": [], "name": None}


dialect = CareloopDialect


def register() -> str:
    """Make the dialect known to SQLAlchemy; the scheme of its connection strings."""
    registry.register(NAME, __name__, CareloopDialect.__name__)
    return NAME
