"""Running a gate: every expectation at one boundary, against the file about to be used."""

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import duckdb

from careloop.errors import GateError
from careloop.program.model import Program
from careloop.quality.declared import GATES, QUERY, Declared, declared, mistake
from careloop.quality.limits import limits
from careloop.quality.parameters import filled, parameters, personal_columns
from careloop.quality.results import GateResult, Result
from careloop.settings import Settings
from careloop.warehouse import connect, options

Progress = Callable[[str], None]


class RunInfo(Protocol):
    """What a gate needs to know of the run."""

    @property
    def run_id(self) -> str: ...

    @property
    def as_of(self) -> datetime: ...

    @property
    def program(self) -> Program: ...


def run_gate(
    settings: Settings,
    gate: str,
    run: RunInfo,
    progress: Progress | None = None,
    *,
    folder: Path | None = None,
) -> GateResult:
    """Run the ``raw`` or the ``marts`` gate and return every result; nothing is raised for data
    that fails (see ``GateResult.raise_if_critical``).

    progress: told in a line about each table and each failure; folder: the expectations.
    Raises ExpectationError for a wrong expectation before anything runs, and GateError for a
    file that can't be read.
    """
    if gate not in GATES:
        raise GateError(f"{gate!r} is not a gate", f"gates: {', '.join(GATES)}")
    path = settings.warehouse if gate == "raw" else settings.marts
    expectations = declared(gate, folder)
    with _opened(settings, settings.warehouse) as con:
        values = parameters(con, gate)
        expectations = [filled(e, values) for e in expectations]
        if gate == "raw":
            expectations += limits(con, run.program.data)
    expectations.sort(key=lambda e: (e.table == "run.batches", e.table))
    with _opened(settings, path) as con:
        check_against(con, expectations)

    # Great Expectations takes seconds to import; nothing but a gate pays for it.
    from careloop.quality.engine import Engine, compiled

    for expectation in expectations:
        compiled(expectation)
    outcome = GateResult(gate, run.run_id, run.as_of.replace(tzinfo=None))
    with Engine(path, options(settings)) as engine:
        for table, group in groupby(expectations, key=lambda e: e.table):
            started = time.perf_counter()
            results = list(_table(engine, outcome, table, list(group)))
            outcome.results += results
            outcome.seconds[table] = round(time.perf_counter() - started, 3)
            if progress:
                _tell(progress, table, results, outcome.seconds[table])
    if len(outcome.results) != len(expectations):
        raise GateError(
            f"{len(outcome.results)} of the {len(expectations)} declared expectations of the "
            f"{gate} gate have a result"
        )
    return outcome


def _tell(progress: Progress, table: str, results: list[Result], seconds: float) -> None:
    failed = [r for r in results if not r.success]
    progress(f"{table}: {len(results) - len(failed)} of {len(results)} hold, {seconds:.1f} s")
    for result in failed:
        progress(f"{result.severity}: {result.told()}")


def in_file(table: str) -> str:
    """``schema.table`` within its DuckDB file; marts stand in the main schema of theirs."""
    return table.replace("marts.", "main.", 1) if table.startswith("marts.") else table


def check_against(con: duckdb.DuckDBPyConnection, expectations: Iterable[Declared]) -> None:
    """Raise ExpectationError for a table, column or query that the file of ``con`` refuses."""
    columns: dict[str, dict[str, str]] = {}
    for schema, table, column, type_ in con.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() and not internal"
    ).fetchall():
        columns.setdefault(f"{schema}.{table}", {})[column] = type_
    for expectation in expectations:
        table = in_file(expectation.table)
        if table not in columns:
            names = {e.replace("main.", "marts.", 1) for e in columns}
            raise mistake(expectation.where, expectation.table, "is not a table", names)
        known = columns[table]
        for name in [*expectation.key, *expectation.columns]:
            if name not in known:
                raise mistake(
                    expectation.where, name, f"is not a column of {expectation.table}", known
                )
        if expectation.type == QUERY:
            _explain(con, expectation, table)


def _explain(con: duckdb.DuckDBPyConnection, expectation: Declared, table: str) -> None:
    try:
        con.execute("explain " + expectation.query(table))
    except duckdb.Error as error:
        reason = " ".join(str(error).split("LINE")[0].split())
        raise mistake(
            f"{expectation.where}.kwargs.unexpected_rows_query", None, f"is wrong: {reason}"
        ) from error


def _table(
    engine: Any, outcome: GateResult, table: str, expectations: list[Declared]
) -> Iterable[Result]:
    found = engine.run(in_file(table), expectations)
    counted = next((f["element_count"] for _, _, f in found if "element_count" in f), None)
    for expectation, success, figures in found:
        rows, failing, observed = _figures(engine, expectation, figures, counted)
        keys: list[str] = []
        if not success and expectation.observe is None:
            keys, about_table = engine.failing(in_file(table), expectation)
            if expectation.type == QUERY and not keys:
                rows, failing, observed = None, None, about_table
        yield Result(
            run_id=outcome.run_id,
            as_of=outcome.as_of,
            gate=outcome.gate,
            table=expectation.about,
            expectation=expectation.expectation,
            type=expectation.type,
            column=expectation.column,
            severity=expectation.severity,
            success=success,
            rows_checked=rows,
            rows_failing=failing,
            keys=tuple(keys),
            observed=observed,
            why=expectation.why,
        )


def _figures(
    engine: Any, expectation: Declared, figures: dict[str, Any], counted: int | None
) -> tuple[int | None, int | None, str | None]:
    """Rows checked, rows failing, and the figure of a whole-table expectation."""
    if expectation.observe:
        return None, None, engine.query(expectation.observe)[1][0][0]
    if expectation.type == QUERY:
        return counted, int(figures["observed_value"]), None
    if "element_count" in figures:
        return figures["element_count"], int(figures["unexpected_count"] or 0), None
    observed = figures.get("observed_value")
    # A figure such as the smallest value is a value: never of a personal column.
    if observed is None or set(expectation.columns) & set(personal_columns()):
        return None, None, None
    if isinstance(observed, int):
        return None, None, f"{observed:,}"
    if isinstance(observed, float):
        return None, None, f"{observed:,.6g}"
    return None, None, str(observed)


def _opened(settings: Settings, path: Path) -> duckdb.DuckDBPyConnection:
    if not path.exists():
        raise GateError(f"{path.name} has not been built yet", "run `careloop run`")
    return connect(settings, path, read_only=True)
