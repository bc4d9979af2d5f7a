"""Settling: what of a staged offer is loaded, rejected, waits, or is outdated."""

from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa

from careloop.contract import Entity, entities
from careloop.ingest.stage import Staged, loaded_as
from careloop.lake.batches import Batch, Lake
from careloop.lake.relations import versions
from careloop.warehouse import literal, names_of, quote

EVENT_COLUMNS = {
    "orders": "ordered_at",
    "interactions": "occurred_at",
    "tickets": "opened_at",
    "ticket_events": "at",
    "surveys": "asked_at",
    "follow_ups": "planned_at",
    "points": "at",
    "referrals": "at",
    "consents": "changed_at",
    "receipts": "at",
    "exposures": "exposed_at",
}
PARQUET = "(format parquet, compression zstd)"


class Settlement:
    """Decides about the rows of one staged offer and writes them as a batch's files.

    con: scratch connection. lake: what is loaded so far. batch: the batch in the making.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, lake: Lake, entity: Entity, batch: Batch
    ) -> None:
        self.con = con
        self.lake = lake
        self.entity = entity
        self.batch = batch
        self.keys = names_of(entity.key)

    def separate(self, staged: Staged) -> dict[str, int]:
        """Fill table ``removed`` (row, why); returns the number of rows by why."""
        self.con.execute("create or replace temp table removed (row_number bigint, why varchar)")
        if staged.full:
            self.con.execute(
                f"insert into removed select file_row_number, 'rejected' from {staged.rows} "
                "where _error is not null"
            )
        self._find_waiting(staged)
        self._find_outdated(staged)
        return dict(self.con.execute("select why, count(*) from removed group by why").fetchall())

    def write(self, staged: Staged, removed: dict[str, int], out: Path) -> Batch:
        """Write the batch's files into ``out``; returns the batch with its counts."""
        total = self._count(f"select count(*) from read_parquet({literal(staged.path)})")
        loaded = total - sum(removed.values())
        batch = replace(
            self.batch,
            rows_read=total + len(staged.broken),
            rows_loaded=loaded,
            rows_rejected=removed.get("rejected", 0) + len(staged.broken),
            rows_held=removed.get("waiting", 0),
            rows_outdated=removed.get("outdated", 0),
        )
        names = names_of(self.entity.columns)
        select = f"select {names}, {loaded_as(batch)} from {staged.rows}"
        rows = out / "rows.parquet"
        if loaded and (removed or staged.full):
            self._copy(f"{select} anti join removed on row_number = file_row_number", rows)
        elif loaded:
            staged.path.replace(rows)
        if loaded:
            batch = self._event_range(self._replace_older(batch, out), out)
        if batch.rows_held:
            waiting = "(from removed where why = 'waiting')"
            self._copy(
                f"{select} semi join {waiting} as w on row_number = file_row_number",
                out / "held.parquet",
            )
        if batch.rows_rejected or batch.rows_held:
            self._write_rejects(staged, batch, out)
        return batch

    def _find_waiting(self, staged: Staged) -> None:
        sound = " and _error is null" if staged.full else ""
        for column, parent_name in self.entity.parents.items():
            parent = entities()[parent_name]
            if not self.lake.files(parent_name, "rows") and not parent.required:
                continue
            (key,) = parent.key
            self.con.execute(
                f"insert into removed select file_row_number, 'waiting' from {staged.rows} as r "
                f"anti join (select {key} as known from ({versions(self.lake, parent)})) as p "
                f"on known = r.{column} where r.{column} is not null{sound}"
            )

    def _find_outdated(self, staged: Staged) -> None:
        """Of several rows of one key in one file the latest `updated_at`, else the last, stays."""
        newest = f"{self.entity.order_column} desc nulls last, " if self.entity.order_column else ""
        sound = f"(from {staged.rows} anti join removed on row_number = file_row_number)"
        self.con.execute(
            f"create or replace temp table doubled as select {self.keys} from {sound} "
            f"group by {self.keys} having count(*) > 1"
        )
        if self._count("select count(*) from doubled"):
            self.con.execute(
                f"insert into removed select file_row_number, 'outdated' from {sound} "
                f"semi join doubled using ({self.keys}) "
                f"qualify row_number() over (partition by {self.keys} "
                f"order by {newest} file_row_number desc) > 1"
            )

    def _replace_older(self, batch: Batch, out: Path) -> Batch:
        """Write ``dead.parquet``: of keys loaded before, the version that lost, here or there."""
        if not self.lake.files(self.entity.name, "rows"):
            return batch
        by_source = self.entity.merge == "columns"
        same_source = f" and old._source = {literal(batch.source)}" if by_source else ""
        order = self.entity.order_column
        newer = f"coalesce(new.{order} >= old.{order}, true)" if order else "true"
        gone = ", ".join(str(int(name[:6])) for name in batch.supersedes) or "-1"
        dead = out / "dead.parquet"
        self._copy(
            f"select case when {newer} then old._batch else {batch.seq} end as _batch, "
            f"case when {newer} then old._row else new.file_row_number end as _row "
            f"from ({versions(self.lake, self.entity, numbered=True)}) as old "
            f"join read_parquet({literal(out / 'rows.parquet')}, file_row_number=true) as new "
            f"using ({self.keys}) where old._batch not in ({gone}){same_source}",
            dead,
        )
        mine, theirs = self.con.execute(
            f"select count(*) filter (where _batch = {batch.seq}), "
            f"count(*) filter (where _batch <> {batch.seq}) from read_parquet({literal(dead)})"
        ).fetchall()[0]
        if not mine + theirs:
            dead.unlink()
        return replace(
            batch,
            rows_loaded=batch.rows_loaded - mine,
            rows_outdated=batch.rows_outdated + mine,
            rows_replaced=theirs,
        )

    def _write_rejects(self, staged: Staged, batch: Batch, out: Path) -> None:
        """``rejects.parquet``: one row per rejected or waiting row, with its raw text."""
        names = f"{literal(batch.source)} as source, {literal(batch.file)} as file"
        head = f"{names}, {batch.seq} as _batch"
        waits = " || '; ' || ".join(
            f"{literal(f'{column}: ')} || {column} || "
            f"{literal(f' is not among the {parent} loaded')}"
            for column, parent in self.entity.parents.items()
        )
        row = ", ".join(f"{literal(c)}, {quote(c)}" for c in self.entity.columns)
        joined = f"from {staged.rows} join removed on row_number = file_row_number"
        parts = [
            f"select {head}, _line as line, _key as key, "
            "array_to_string(_columns, ', ') as columns, "
            "array_to_string(_reasons, '; ') as reason, "
            "false as waiting, _key is null as keyless, "
            f"_raw as raw {joined} where why = 'rejected'"
        ]
        if waits:
            parts.append(
                f"select {head}, _line, _key, {literal(', '.join(self.entity.parents))}, {waits}, "
                f"true, false, json_object({row})::varchar {joined} where why = 'waiting'"
            )
        broken = pa.table(
            {
                "line": pa.array([b.line for b in staged.broken], pa.int64()),
                "reason": pa.array([b.reason for b in staged.broken], pa.string()),
                "raw": pa.array([b.raw for b in staged.broken], pa.string()),
            }
        )
        self.con.register("broken_lines", broken)
        parts.append(f"select {head}, line, null, '', reason, false, true, raw from broken_lines")
        rejects = " union all ".join(parts)
        self._copy(f"from ({rejects}) order by line, key, raw", out / "rejects.parquet")
        self.con.unregister("broken_lines")

    def _event_range(self, batch: Batch, out: Path) -> Batch:
        column = EVENT_COLUMNS.get(self.entity.name, self.entity.order_column)
        if column is None:
            return batch
        first, last = self.con.execute(
            f"select min({quote(column)})::varchar, max({quote(column)})::varchar "
            f"from read_parquet({literal(out / 'rows.parquet')})"
        ).fetchall()[0]
        return replace(batch, min_event_at=first, max_event_at=last)

    def _copy(self, sql: str, target: Path) -> None:
        self.con.execute(f"copy ({sql}) to {literal(target)} {PARQUET}")

    def _count(self, sql: str) -> int:
        return self.con.execute(sql).fetchall()[0][0]
