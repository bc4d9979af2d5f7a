"""Deciding the published day once more, under a changed pack."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from careloop.errors import SettingsError, TransformError
from careloop.lake.batches import Lake
from careloop.ledger.database import has_ledger, ledger_file
from careloop.program.model import Program
from careloop.published import current_version
from careloop.run_info import RunInfo, run_info
from careloop.settings import Settings
from careloop.transform.dbt import invoke
from careloop.transform.prepare import prepare_warehouse, replace_program
from careloop.warehouse import literal

Progress = Callable[[str], None]
# Parts of a pack that only decisions look at; all others also move segments, scores or alerts.
CARE_PARTS = {"title", "about", "caps", "quiet_hours", "holdout", "consent", "offers"}
CARE_MODELS = "+fct_care_decisions,path:models/intermediate/care fct_care_decisions"
EVERYTHING = "+fct_care_decisions"
MORE = ": segments, scores and alerts may move, so everything is built"


@contextmanager
def decided(
    settings: Settings, old: Program, new: Program, progress: Progress
) -> Iterator[tuple[Path, Path, datetime]]:
    """Files with the table ``fct_care_decisions`` under the old and the new pack, and the local
    as_of of both: that of the published version. They are gone when the context ends.

    Raises SettingsError where nothing is published, TransformError where dbt fails.
    """
    version = current_version(settings)
    if version is None:
        raise SettingsError(
            f"nothing is published in {settings.published}", "run `careloop run` first"
        )
    as_of, run_id, pack = _published_run(version)
    if pack != old.name:
        raise SettingsError(
            f"the published version is of the pack {pack}, not {old.name}",
            f"name it with --program {pack}",
        )
    moment = as_of.replace(tzinfo=ZoneInfo(old.zone))
    # History belongs to a program by its name, and this is to be the program's next edition.
    new = new.model_copy(update={"name": old.name})
    lake = Lake(settings.lake)
    same_data = run_info(lake, old, moment).run_id == run_id
    with tempfile.TemporaryDirectory(prefix="careloop-diff-", dir=settings.home) as room:
        before, base = version, settings.warehouse
        if not same_data or not _warehouse_of(settings, run_id):
            progress("data or pack have changed since the last run: deciding under the old, too")
            apart = _room(settings, Path(room) / "old")
            before, base = _decide(apart, run_info(lake, old, moment)), apart.warehouse
        scratch = _room(settings, Path(room) / "new")
        quick = not _moves_more(old, new)
        progress("deciding under the new pack" + ("" if quick else MORE))
        if quick:
            shutil.copyfile(base, scratch.warehouse)
            shutil.copyfile(before, scratch.marts)
        after = _decide(scratch, run_info(lake, new, moment), quick)
        yield before, after, as_of


def _published_run(version: Path) -> tuple[datetime, str, str]:
    with duckdb.connect(str(version), read_only=True) as con:
        return con.execute("select as_of_local, run_id, pack from rpt_run").fetchall()[0]


def _moves_more(old: Program, new: Program) -> bool:
    """Whether more than decisions differ."""
    both = [p.model_dump(mode="json", exclude=CARE_PARTS) for p in (old, new)]
    return both[0] != both[1]


def _warehouse_of(settings: Settings, run_id: str) -> bool:
    """Whether the private warehouse is still that of the published run."""
    if not settings.warehouse.exists():
        return False
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        return con.execute("select run_id from run.context").fetchall()[0][0] == run_id


def _room(settings: Settings, home: Path) -> Settings:
    """Settings of a home that reads the real lake, ledger and versions and writes apart."""
    url = settings.ledger_url
    if url is None and has_ledger(settings):
        url = f"sqlite:///{ledger_file(settings)}"
    room = settings.model_copy(update={"home": home, "ledger_url": url})
    room.build.mkdir(parents=True)
    for name in ("lake", "published", "ledger_mirror"):
        if (settings.home / name).exists():
            (home / name).symlink_to(settings.home / name)
    return room


def _decide(settings: Settings, run: RunInfo, quick: bool = False) -> Path:
    if quick:
        replace_program(settings, run)
    else:
        prepare_warehouse(settings, run)
    select = CARE_MODELS.split() if quick else [EVERYTHING]
    result = invoke(settings, ["run", "--no-write-json", "--select", *select])
    if not result.success:
        failed = [r for r in result.result or [] if str(r.status) in ("error", "fail")]
        reason = f"{failed[0].node.name}: {failed[0].message}" if failed else result.exception
        raise TransformError(
            f"deciding under the changed pack failed: {' '.join(str(reason).split())[:500]}",
            "check the pack with `careloop rules check`",
        )
    return settings.marts


def attach(con: duckdb.DuckDBPyConnection, before: Path, after: Path) -> None:
    """Makes both sets of decisions readable as ``before.…`` and ``after.…``."""
    con.execute(f"attach {literal(before)} as before (read_only)")
    con.execute(f"attach {literal(after)} as after (read_only)")
