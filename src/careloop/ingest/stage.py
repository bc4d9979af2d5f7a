"""Staging: one offer mapped and typed into ``staged.parquet``, nothing decided yet."""

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from careloop.errors import SourceError
from careloop.ingest.offer import Offer
from careloop.sources import files
from careloop.sources.files import Broken, Table
from careloop.sources.mapping import Plan, make_plan
from careloop.warehouse import literal


@dataclass
class Staged:
    """``path`` holds the canonical columns and ``_error``; in ``full`` also line, key, reasons
    and raw row. broken: lines that are no records."""

    path: Path
    full: bool
    broken: list[Broken] = field(default_factory=list)

    @property
    def rows(self) -> str:
        """The staged rows as a relation, with ``file_row_number``."""
        return f"read_parquet({literal(self.path)}, file_row_number=true)"


def plan_of(con: duckdb.DuckDBPyConnection, offer: Offer, table: Table) -> Plan:
    """The offer's mapping bound to the columns of ``table``."""
    relation = offer.relation(table)
    return make_plan(con, offer.entity, offer.mapping, relation, offer.source.zone, offer.place)


def stage_quickly(
    con: duckdb.DuckDBPyConnection, offer: Offer, table: Table, scratch: Path
) -> Staged | None:
    """Stage in one pass that only flags broken rows; None when the file can't be read so."""
    plan = plan_of(con, offer, table)
    target = scratch / "staged.parquet"
    try:
        _write(con, plan.staged_sql(offer.relation(table), full=False), target)
    except duckdb.Error:
        return None
    return Staged(target, full=False, broken=table.broken)


def stage_fully(
    con: duckdb.DuckDBPyConnection, offer: Offer, table: Table, scratch: Path
) -> Staged:
    """Stage with line, reasons and raw text of every broken row; raises SourceError."""
    if not table.lines and offer.mapping.query is None:
        table = files.read_carefully(table.path, offer.form, scratch)
    plan = plan_of(con, offer, table)
    relation = offer.relation(table)
    target = scratch / "staged.parquet"
    try:
        _write(con, plan.staged_sql(relation, full=True), target)
    except duckdb.Error as error:
        guarded = plan.guard(con, relation)
        try:
            _write(con, plan.staged_sql(relation, full=True), target)
        except duckdb.Error:
            where = f" (columns {', '.join(guarded)})" if guarded else ""
            raise SourceError(
                f"{offer.place}{where}: {str(error).splitlines()[0]}",
                "correct the expression or the file; nothing of it was loaded",
            ) from error
    return Staged(target, full=True, broken=table.broken)


def _write(con: duckdb.DuckDBPyConnection, sql: str, target: Path) -> None:
    con.execute(f"copy ({sql}) to {literal(target)} (format parquet, compression zstd)")
