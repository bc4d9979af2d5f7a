"""Reading what is published."""

from datetime import datetime
from pathlib import Path

import duckdb

from careloop.errors import CareloopError, SettingsError
from careloop.settings import Settings

LINK = "marts.duckdb"


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


def versions(settings: Settings) -> list[str]:
    """Names of the published versions, oldest first."""
    names = sorted(path.stem for path in settings.published.glob("marts-*.duckdb"))
    return [name.removeprefix("marts-") for name in names]


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


def decisions_file(settings: Settings, as_of_local: datetime) -> Path:
    """Where every decision of a day is kept as Parquet, however long ago it was. as_of_local:
    program's wall time. One file per as_of; a run of the same as_of replaces it."""
    return settings.home / "decisions" / f"as_of={as_of_local:%Y%m%dT%H%M}.parquet"


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
