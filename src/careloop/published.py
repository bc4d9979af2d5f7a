"""Reading what is published."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from careloop.errors import CareloopError, SettingsError
from careloop.program.period import Period
from careloop.settings import Settings
from careloop.warehouse import Row, has_tables, rows_of

LINK = "marts.duckdb"
# Ending of the names of what the watch leaves between two refreshes.
WATCH = "-service"


def current_version(settings: Settings) -> Path | None:
    """The file the link points at, or None before the first run."""
    link = settings.published / LINK
    return link.resolve() if link.exists() else None


def open_published(settings: Settings, version: str | None = None) -> duckdb.DuckDBPyConnection:
    """A read-only connection to the current, or a named, version."""
    if version:
        path = settings.published / f"marts-{version}.duckdb"
        known = ", ".join(versions(settings)) or "none"
        if not path.exists():
            raise SettingsError(f"there is no version {version}", f"published: {known}")
    else:
        found = current_version(settings)
        if found is None:
            raise SettingsError(
                f"nothing is published in {settings.published}", "run `careloop run` first"
            )
        path = found
    return duckdb.connect(str(path), read_only=True)


def run_of(con: duckdb.DuckDBPyConnection, pack: str) -> Row:
    """The row of rpt_run; raises SettingsError where it is another program's than ``pack``."""
    run = rows_of(con, "select * from rpt_run")[0]
    if run["pack"] != pack:
        raise SettingsError(
            f"what is published is of the program {run['pack']}, not of {pack}",
            f"run `careloop run --program {pack}`, or name the other with --program",
        )
    return run


def check_known(con: duckdb.DuckDBPyConnection, period: Period) -> None:
    """Raises SettingsError where no KPI was counted for the period: it ended before the data
    began, or longer ago than the pack keeps. Says nothing of versions without KPIs."""
    if not has_tables(con, "rpt_kpis"):
        return
    known, first = con.execute(
        "select count(*) filter (where period_start = ?), min(period_start) from rpt_kpis "
        "where period_type = ?",
        [period.first_day, period.kind],
    ).fetchall()[0]
    if not known:
        raise SettingsError(
            f"what is published tells nothing of {period.name}: its figures begin with {first}",
            "name a later period; operation.kpi_quarters and kpi_months say how many are kept",
        )


def versions(settings: Settings) -> list[str]:
    """Names of the published versions, oldest first."""
    return sorted(version_of(path) for path in settings.published.glob("marts-*.duckdb"))


def version_of(file: Path) -> str:
    """The name of the version a file of marts holds."""
    return file.stem.removeprefix("marts-")


def version_files(settings: Settings) -> list[Path]:
    """The files of the published versions, oldest first."""
    return [settings.published / f"marts-{name}.duckdb" for name in versions(settings)]


def version_before(settings: Settings, as_of_local: datetime) -> Path | None:
    """The file of the latest day before ``as_of_local`` (program's wall time): what a run of that
    day continues from, also when it is run again. Of several of one day the last published."""
    limit = f"{as_of_local:%Y%m%dT%H%M}"
    earlier = [name for name in versions(settings) if name.partition("-")[0] < limit]
    if not earlier:
        return None
    current = current_version(settings)
    day = earlier[-1].partition("-")[0]
    files = [settings.published / f"marts-{n}.duckdb" for n in earlier if n.startswith(day)]
    return current if current in files else max(files, key=lambda file: file.stat().st_mtime_ns)


def version_until(settings: Settings, as_of_local: datetime) -> Path | None:
    """The file of the latest day up to ``as_of_local`` (program's wall time); of several of one
    day the last published."""
    return version_before(settings, as_of_local + timedelta(minutes=1))


def version_day(version: str, zone: str) -> datetime:
    """The as_of a version is named by, aware, in the program's zone."""
    local = datetime.fromisoformat(version.partition("-")[0])
    return local.replace(tzinfo=ZoneInfo(zone))


def missed_days(settings: Settings, program: str, as_of: datetime) -> list[datetime]:
    """Starts of the days (aware, in the zone of ``as_of``) between the current version and
    ``as_of`` on which nothing was decided, because careloop did not run; at most the last
    ``catch_up_days`` of them. None before the first run or where the program was another."""
    version = current_version(settings)
    if version is None or not settings.catch_up_days:
        return []
    with duckdb.connect(str(version), read_only=True) as con:
        last, pack = con.execute("select as_of_local, pack from rpt_run").fetchall()[0]
    between = (as_of.date() - last.date()).days - 1
    if pack != program or between < 1:
        return []
    days = [as_of.date() - timedelta(days=n) for n in range(between, 0, -1)]
    return [datetime.combine(day, time(), as_of.tzinfo) for day in days[-settings.catch_up_days :]]


def decision_files(settings: Settings) -> list[Path]:
    """The archive of decisions, one Parquet file per as_of and kind, the earliest first."""
    return sorted(settings.decisions.glob("as_of=*.parquet"))


def is_of_watch(file: Path) -> bool:
    """Whether decisions or marts are those of a round of the watch."""
    return file.stem.endswith(WATCH)


def decisions_file(settings: Settings, as_of_local: datetime, *, watch: bool = False) -> Path:
    """Where every decision of a day is kept as Parquet, however long ago it was. as_of_local:
    program's wall time. One file per as_of; a run of the same as_of replaces it. watch: those
    of the watch, which has files of its own beside the refresh's."""
    return settings.decisions / f"as_of={as_of_local:%Y%m%dT%H%M}{WATCH * watch}.parquet"


def decisions_before(settings: Settings, day: date) -> Path | None:
    """The archive of the last refresh that decided before a local day, if there is one."""
    end = decisions_file(settings, datetime.combine(day, time())).name
    files = [path for path in decision_files(settings) if not is_of_watch(path)]
    return max((path for path in files if path.name < end), default=None)


def watch_files(settings: Settings) -> list[Path]:
    """What the last rounds of the watch found, the latest last: DuckDB files with the clocks,
    incidents, late deliveries and decisions of the cases that were open."""
    return sorted(settings.apart("watch").build.glob(f"marts-*{WATCH}.duckdb"))


def query(settings: Settings, sql: str, version: str | None = None) -> tuple[list[str], list]:
    """Column names and rows of ``sql`` over the published marts; raises CareloopError."""
    con = open_published(settings, version)
    try:
        result = con.execute(sql)
        return [column[0] for column in result.description or []], result.fetchall()
    except duckdb.Error as error:
        raise CareloopError(
            f"the query failed: {error}", "`careloop marts` lists the tables and their columns"
        ) from error
    finally:
        con.close()
