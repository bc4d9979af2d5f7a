"""What a gate found: results, the error that stops a run, and the published table."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from careloop.errors import CareloopError, GateError
from careloop.warehouse import has_tables, rows_of

TABLE = "rpt_data_quality"
MOST_KEYS = 10


class ExpectationError(CareloopError):
    """An expectation file is wrong: the file, the line, the value and what is allowed."""

    exit_code = 5


@dataclass(frozen=True)
class Result:
    """One expectation of one run.

    rows_checked and rows_failing are None for an expectation about the table as a whole;
    keys are those of up to ten failing rows, never any other column; observed is the figure
    a whole-table expectation looked at.
    """

    run_id: str
    as_of: datetime
    gate: str
    table: str
    expectation: dict[str, str]
    type: str
    column: str | None
    severity: str
    success: bool
    rows_checked: int | None
    rows_failing: int | None
    keys: tuple[str, ...]
    observed: str | None
    why: dict[str, str]

    @property
    def is_critical_failure(self) -> bool:
        return self.severity == "critical" and not self.success

    def told(self) -> str:
        """The failure in one sentence: table, expectation, how many rows, which keys."""
        text = f"{self.table} fails “{self.expectation['en']}”"
        if self.rows_failing is not None:
            of = f" of {self.rows_checked:,}" if self.rows_checked is not None else ""
            text += f" in {self.rows_failing:,}{of} rows"
        elif self.observed is not None:
            text += f" (found {self.observed})"
        if self.keys:
            more = ", …" if (self.rows_failing or 0) > len(self.keys) else ""
            text += f": {', '.join(self.keys)}{more}"
        return text


@dataclass
class GateResult:
    """Every result of one gate; seconds per table, without imports."""

    gate: str
    run_id: str
    as_of: datetime
    results: list[Result] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failures(self) -> list[Result]:
        """Failed critical expectations: any of them stops the run."""
        return [r for r in self.results if r.is_critical_failure]

    @property
    def warnings(self) -> list[Result]:
        return [r for r in self.results if not r.success and r.severity == "warning"]

    def raise_if_critical(self) -> None:
        """Raise GateError with one sentence when a critical expectation failed."""
        if not self.failures:
            return
        first, *others = self.failures
        plural = "s" if len(others) > 1 else ""
        rest = f"; {len(others)} more critical expectation{plural} failed" if others else ""
        raise GateError(
            f"the {self.gate} gate stopped the run: {first.told()}{rest}",
            f"why it matters: {first.why['en']} Nothing was published; correct the data, or the "
            f"expectation in expectations/{self.gate}/{first.table.split('.')[-1]}.yml",
        )


COLUMNS = {
    "run_id": "varchar",
    "as_of": "timestamp",
    "gate": "varchar",
    "expectation_no": "integer",
    "table_name": "varchar",
    "expectation_en": "varchar",
    "expectation_zh": "varchar",
    "expectation_type": "varchar",
    "column_name": "varchar",
    "severity": "varchar",
    "is_success": "boolean",
    "rows_checked": "bigint",
    "rows_failing": "bigint",
    "failing_keys": "varchar[]",
    "observed": "varchar",
    "why_en": "varchar",
    "why_zh": "varchar",
}


def write_results(con: duckdb.DuckDBPyConnection, results: Iterable[Result]) -> int:
    """Write ``rpt_data_quality`` into the marts file of ``con``; the number of rows.

    One row per run, gate and expectation. Writing the same run again replaces its rows.
    """
    numbers: dict[tuple[str, str], int] = {}
    rows = []
    for result in results:
        number = numbers[result.run_id, result.gate] = (
            numbers.get((result.run_id, result.gate), 0) + 1
        )
        rows.append(_row(result, number))
    columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    con.execute(f"create table if not exists {TABLE} ({columns})")
    for run_id, gate in numbers:
        con.execute(f"delete from {TABLE} where run_id = ? and gate = ?", [run_id, gate])
    if rows:
        # One statement: a statement per row takes longer than both gates on a small company.
        con.execute(
            f"insert into {TABLE} select unnest(from_json(?, ?), recursive := true)",
            [json.dumps(rows, default=str), json.dumps([COLUMNS])],
        )
    return len(rows)


def _row(result: Result, number: int) -> dict[str, Any]:
    values = asdict(result)
    return {
        "run_id": result.run_id,
        "as_of": result.as_of.isoformat(sep=" "),
        "gate": result.gate,
        "expectation_no": number,
        "table_name": result.table,
        "expectation_type": result.type,
        "column_name": result.column,
        "is_success": result.success,
        "failing_keys": list(result.keys),
        **{name: values[name] for name in ("severity", "rows_checked", "rows_failing", "observed")},
        **{f"expectation_{language}": text for language, text in result.expectation.items()},
        **{f"why_{language}": text for language, text in result.why.items()},
    }


def published_results(path: Path) -> list[dict[str, Any]]:
    """The rows of ``rpt_data_quality`` in the published file ``path``; raises GateError."""
    if not path.exists():
        raise GateError(
            "nothing has been published yet, so there are no quality results",
            "run `careloop run` first",
        )
    with duckdb.connect(str(path.resolve()), read_only=True) as con:
        if not has_tables(con, TABLE):
            raise GateError(f"{path.name} has no table {TABLE}", "run `careloop run` again")
        return rows_of(con, f"select * from {TABLE} order by gate desc, expectation_no")
