"""Staging: one offer mapped and typed into ``staged.parquet``, nothing decided yet."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from careloop.contract import Entity
from careloop.errors import SourceError
from careloop.ingest.offer import Offer
from careloop.lake.batches import Batch
from careloop.lake.erasures import (
    REDACTED,
    Erasures,
    anonymised,
    customer_columns,
    is_erased,
    renamed,
)
from careloop.sources import files
from careloop.sources.files import Broken, Table
from careloop.sources.mapping import Plan, make_plan
from careloop.warehouse import literal, quote


@dataclass
class Staged:
    """``path`` holds the canonical columns; in full also ``_error``, line, key, reasons and raw
    row, else sound rows only, with ``_source`` and ``_batch``, as the lake keeps them.

    broken: lines that are no records.
    """

    path: Path
    full: bool
    broken: list[Broken] = field(default_factory=list)

    @property
    def rows(self) -> str:
        """The staged rows as a relation, with ``file_row_number``."""
        return f"read_parquet({literal(self.path)}, file_row_number=true)"


def loaded_as(batch: Batch) -> str:
    """The columns the lake adds to the rows of ``batch``."""
    return f"{literal(batch.source)} as _source, {batch.seq} as _batch"


def plan_of(con: duckdb.DuckDBPyConnection, offer: Offer, table: Table) -> Plan:
    """The offer's mapping bound to the columns of ``table``."""
    relation = offer.relation(table)
    return make_plan(con, offer.entity, offer.mapping, relation, offer.source.zone, offer.place)


def stage_quickly(
    con: duckdb.DuckDBPyConnection, offer: Offer, table: Table, batch: Batch, scratch: Path
) -> Staged | None:
    """Stage in one pass, as rows of ``batch``; None when the file can't be read so or a row
    breaks the contract.

    Nearly every file is sound, and what is written here is then loaded as it is.
    """
    plan = plan_of(con, offer, table)
    target = scratch / "staged.parquet"
    mapped = plan.staged_sql(offer.relation(table), full=False)
    try:
        _write(
            con,
            f"select * exclude (_error), {loaded_as(batch)} from ({mapped}) "
            "where case when _error is null then true else error('broken: ' || _error) end",
            target,
        )
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
                f"{offer.place}{where}: {_without_values(error)}",
                "correct the expression or the file; nothing of it was loaded",
            ) from error
    return Staged(target, full=True, broken=table.broken)


def keep_erased(
    con: duckdb.DuckDBPyConnection, erasures: Erasures, entity: Entity, staged: Staged
) -> Staged:
    """``staged`` with customers who were erased under their pseudonyms, without what is personal
    of theirs: a CRM goes on exporting whom it has not erased itself."""
    columns = customer_columns(list(entity.columns))
    names = erasures.found_in(con, f"from {staged.rows}", columns)
    if not names:
        return staged
    replaced = anonymised(entity, names)
    if staged.full:
        theirs = " or ".join(is_erased(column, names) for column in columns)
        key = " || '/' || ".join(
            renamed(c, names) if c in columns else f"{quote(c)}::varchar" for c in entity.key
        )
        replaced += (
            f", case when {theirs} then {literal(REDACTED)} else _raw end as _raw"
            f", case when {theirs} then {key} else _key end as _key"
            f", case when {theirs} then list_transform(_reasons, lambda x: {literal(REDACTED)}) "
            "else _reasons end as _reasons"
        )
    target = staged.path.with_name("anonymised.parquet")
    _write(con, f"select * replace ({replaced}) from read_parquet({literal(staged.path)})", target)
    target.replace(staged.path)
    return staged


def _without_values(error: duckdb.Error) -> str:
    """The error's first line without the values it quotes, which may be personal."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", str(error).splitlines()[0])


def _write(con: duckdb.DuckDBPyConnection, sql: str, target: Path) -> None:
    con.execute(f"copy ({sql}) to {literal(target)} (format parquet, compression zstd)")
