"""Publish: put a finished version in place atomically, and remove old ones."""

import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from careloop.contract import entities
from careloop.durable import move, sync
from careloop.published import LINK, current_version, decisions_file, version_before, versions
from careloop.run_info import RunInfo
from careloop.settings import Settings
from careloop.warehouse import connect, literal, quote

MAIN_TABLES = "select table_name from duckdb_tables() where schema_name = 'main'"
# The tables dbt doesn't write, and so doesn't describe.
COMMENTS = {
    "meta_freshness": "One row per entity and run: rows in the lake and the latest event (UTC).",
    "rpt_data_quality": "One row per run, gate and expectation: whether it held, how many rows "
    "failed and the keys of up to ten of them.",
}


def write_meta(settings: Settings, run: RunInfo) -> None:
    """Table ``meta_freshness`` (one row per entity and run), and the pack in schema ``program``."""
    con = connect(settings, settings.marts)
    try:
        con.execute(f"attach {literal(settings.warehouse)} as warehouse (read_only)")
        counts = " union all ".join(
            f"select {literal(name)} as entity, count(*) as row_count from warehouse.raw.{name}"
            for name in entities()
        )
        con.execute(
            "create or replace table meta_freshness as "
            "select entity, as_of, row_count, latest_event_at "
            "from warehouse.run.previous_freshness union all "
            f"select entity, timestamp {literal(run.as_of_utc)}, row_count, latest_event_at "
            f"from ({counts}) left join (select entity, max(max_event_at) as latest_event_at "
            "from warehouse.run.batches group by entity) using (entity) order by as_of, entity"
        )
        con.execute("create schema if not exists program")
        for (table,) in con.execute(
            "select table_name from duckdb_tables() "
            "where database_name = 'warehouse' and schema_name = 'program' order by table_name"
        ).fetchall():
            con.execute(
                f"create or replace table program.{quote(table)} as "
                f"from warehouse.program.{quote(table)}"
            )
        for table, about in COMMENTS.items():
            con.execute(f"comment on table {quote(table)} is {literal(about)}")
        con.execute("detach warehouse")
        con.execute("checkpoint")
    finally:
        con.close()


def publish(settings: Settings, run: RunInfo) -> tuple[Path, bool]:
    """Move the built marts into place; returns the file and whether it became the current one.

    A replay of a day before the current version's is kept as a version of its own and the
    link stays where it is.
    """
    settings.published.mkdir(parents=True, exist_ok=True)
    target = settings.published / f"marts-{run.version}.duckdb"
    before = current_version(settings)
    newest = before is None or _as_of(before) <= run.as_of_local
    if settings.publish_parquet:
        _write_parquet(settings, run)
    archive_decisions(settings, run)
    sync(settings.marts)
    os.replace(settings.marts, target)
    if newest:
        _point(settings.published / LINK, target.name)
        if settings.publish_parquet:
            _point(settings.published / "parquet" / "current", run.version)
    sync(settings.published)
    _prune(settings, run, before)
    return target, newest


def archive_decisions(settings: Settings, run: RunInfo) -> Path:
    """Keep all decisions of the built marts in the file of their as_of; returns the file.

    Versions are pruned, decisions are not: why a customer was or wasn't contacted can be asked
    years later.
    """
    target = decisions_file(settings, run.as_of_local)
    with connect(settings, settings.marts, read_only=True) as con:
        keep_decisions(con, target)
    return target


def keep_decisions(con: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Write the decisions of marts to a file that is there whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.new")
    con.execute(
        f"copy (from fct_care_decisions order by decision_key) to {literal(partial)} "
        "(format parquet, compression zstd)"
    )
    move(partial, target)


def _as_of(version: Path) -> datetime:
    with duckdb.connect(str(version), read_only=True) as con:
        return con.execute("select as_of_local from rpt_run").fetchall()[0][0]


def _point(link: Path, name: str) -> None:
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(name)
    os.replace(new, link)


def _write_parquet(settings: Settings, run: RunInfo) -> None:
    folder = settings.published / "parquet" / run.version
    partial = folder.with_name(f".{run.version}.new")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with connect(settings, settings.marts, read_only=True) as con:
        for (table,) in con.execute(MAIN_TABLES).fetchall():
            path = partial / f"{table}.parquet"
            con.execute(
                f"copy {quote(table)} to {literal(path)} (format parquet, compression zstd)"
            )
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _prune(settings: Settings, run: RunInfo, before: Path | None) -> None:
    """Keep at most ``keep_versions``, none older than ``keep_days``.

    The current version always stays, and so do the one it replaced, to which a reader may just
    have followed the link, and the one of the day before, which a second run continues from.
    """
    kept = {current_version(settings), before, version_before(settings, run.as_of_local)}
    oldest = f"{run.as_of_local - timedelta(days=settings.keep_days):%Y%m%dT%H%M}"
    names = versions(settings)
    for position, name in enumerate(reversed(names)):
        path = settings.published / f"marts-{name}.duckdb"
        expendable = position >= settings.keep_versions or name < oldest
        if expendable and path not in kept and name != run.version:
            path.unlink()
            shutil.rmtree(settings.published / "parquet" / name, ignore_errors=True)
