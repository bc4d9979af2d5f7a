"""Great Expectations over one DuckDB file: compiled, pushed down, read only.

Importing this module imports Great Expectations, which takes seconds: only where gates run.
"""

import logging
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# Before the import: it would report its use over the network.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
logging.getLogger("great_expectations").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module=r"great_expectations(\.|$)")

# First duckdb-engine: imported after Great Expectations, DuckDB reports leaks at exit.
from careloop.quality import duckdb_dialect  # noqa: E402, I001
import great_expectations as gx  # noqa: E402
from great_expectations import expectations as gxe  # noqa: E402
from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: E402
from great_expectations.expectations.registry import (  # noqa: E402
    get_expectation_impl,
    register_core_expectations,
)

from careloop.errors import GateError  # noqa: E402
from careloop.quality.declared import QUERY, SEVERITIES, Declared, mistake  # noqa: E402
from careloop.quality.results import MOST_KEYS  # noqa: E402

# It sets this logger's own level to INFO.
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.ERROR)
register_core_expectations()

# Counts come from one scan per table; a limit of no rows keeps values out of the results.
_COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0}
_OWN_KEYS = {"severity", "description", "meta", "notes", "id", "rendered_content", "metadata"}


class CountedRowsExpectation(gxe.UnexpectedRowsExpectation):
    """``unexpected_rows_expectation`` that only counts: stock it runs the query twice, once to
    fetch rows that are of no use here."""

    metric_dependencies = ("unexpected_rows_query.row_count",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002
        execution_engine: Any = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        count = metrics["unexpected_rows_query.row_count"]
        return {"success": count == 0, "result": {"observed_value": count}}


def compiled(expectation: Declared, number: int = 0) -> Any:
    """The Great Expectations object of ``expectation``; raises ExpectationError.

    number: found again in the result, whose order is not that of the suite.
    """
    cls = CountedRowsExpectation
    if expectation.type != QUERY:
        cls = get_expectation_impl(expectation.type)
    allowed = {name for name in cls.__fields__ if name not in _OWN_KEYS}
    for name in expectation.kwargs:
        if name not in allowed:
            raise mistake(
                f"{expectation.where}.kwargs",
                name,
                f"is no argument of {expectation.type}",
                allowed,
            )
    try:
        built = cls(**expectation.kwargs, severity=expectation.severity, meta={"number": number})
    except ValueError as error:
        raise _wrong_argument(expectation, error) from error
    if str(getattr(built.severity, "value", built.severity)) != expectation.severity:
        raise mistake(expectation.where, expectation.severity, "was not taken over", SEVERITIES)
    return built


def _wrong_argument(expectation: Declared, error: ValueError) -> Exception:
    found = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
    name = str(found["loc"][0]) if found["loc"] else "__root__"
    if name == "__root__":
        name = ""
    where = f"{expectation.where}.kwargs" + (f".{name}" if name else "")
    missing = found.get("type") == "value_error.missing"
    problem = "is missing" if missing else f"is wrong: {' '.join(found['msg'].split())}"
    return mistake(where, expectation.kwargs.get(name), problem)


class Engine:
    """A read-only Great Expectations engine on the DuckDB file ``path``; close it to free it."""

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # Nothing outlives the process; writing the configuration as YAML into memory after
        # every table takes longer than checking a small company.
        self._context._save_project_config = lambda *_: None
        self._source = self._context.data_sources.add_sql(
            name="duckdb",
            connection_string=f"{duckdb_dialect.register()}:///{path}",
            create_temp_table=False,
            kwargs={"connect_args": {"read_only": True, "config": options}},
        )
        self._gx = self._source.get_execution_engine()
        self._gx.dialect_module = duckdb_dialect

    def close(self) -> None:
        """Close every connection, so that the file can be written again."""
        self._gx.engine.dispose()
        self._source.get_engine().dispose()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of ``sql``."""
        with self._gx.engine.connect() as connection:
            cursor = connection.exec_driver_sql(sql)
            names = list(cursor.keys())
            return names, [tuple(row) for row in cursor.fetchall()]

    def run(
        self, table: str, expectations: list[Declared]
    ) -> list[tuple[Declared, bool, dict[str, Any]]]:
        """Each expectation with its success and Great Expectations' figures.

        table: ``schema.table`` in the file. Raises GateError when one can't be evaluated or
        did not come back.
        """
        found = self._validate(table, expectations, _COUNTS)
        return [
            (expectation, bool(result.success), dict(result.result))
            for expectation, result in zip(expectations, found, strict=True)
        ]

    def failing(self, table: str, expectation: Declared) -> tuple[list[str], str | None]:
        """Keys of up to ten rows that fail ``expectation``, as text, and what its query names
        ``found``; no other column."""
        if expectation.type == QUERY:
            rows_by_name = self._first(expectation.query(table))
        else:
            form = {
                "result_format": "SUMMARY",
                "partial_unexpected_count": MOST_KEYS,
                "unexpected_index_column_names": list(expectation.key),
                "return_unexpected_index_query": True,
            }
            result = self._validate(table, [expectation], form)[0].result
            # The query, not the list that comes with it: that one holds whichever rows came first.
            query = result.get("unexpected_index_query")
            rows_by_name = self._first(query.rstrip("; \n")) if query else []
        found = next((str(row["found"]) for row in rows_by_name if "found" in row), None)
        return _key_texts(expectation.key, rows_by_name), found

    def _first(self, query: str) -> list[dict[str, Any]]:
        """The first rows of ``query`` in the order of its columns: the same in every run."""
        names, rows = self.query(
            f"select * from ({query}) as failing order by all limit {MOST_KEYS}"
        )
        return [dict(zip(names, row, strict=True)) for row in rows]

    def _validate(
        self, table: str, expectations: list[Declared], result_format: dict[str, Any]
    ) -> list[Any]:
        schema, name = table.split(".")
        suite = gx.ExpectationSuite(
            name=table, expectations=[compiled(e, i) for i, e in enumerate(expectations)]
        )
        if len(suite.expectations) != len(expectations):
            raise GateError(
                f"Great Expectations took over {len(suite.expectations)} of the "
                f"{len(expectations)} expectations declared for {table}"
            )
        label = f"{table}#{len(self._source.assets)}"
        asset = self._source.add_table_asset(name=label, table_name=name, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        outcome = batch.validate(suite, result_format=result_format)
        found = {r.expectation_config.meta["number"]: r for r in outcome.results}
        if sorted(found) != list(range(len(expectations))):
            raise GateError(
                f"{len(found)} of the {len(expectations)} expectations declared for {table} ran"
            )
        for number, expectation in enumerate(expectations):
            if reason := _exception(found[number].exception_info):
                raise GateError(
                    f"{expectation.where}: {expectation.type} could not be evaluated on "
                    f"{expectation.table}: {reason}"
                )
        return [found[number] for number in range(len(expectations))]


def _key_texts(key: tuple[str, ...], rows: Iterable[dict[str, Any]]) -> list[str]:
    texts = []
    for row in rows:
        text = "/".join(str(row[name]) for name in key if name in row)
        if text and text not in texts:
            texts.append(text)
    return texts


def _exception(info: Any) -> str | None:
    """The first exception of a result; its form depends on how many there were."""
    if not info:
        return None
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry.get("raised_exception"):
            return str(entry.get("exception_message") or "unknown reason").splitlines()[0]
    return None
