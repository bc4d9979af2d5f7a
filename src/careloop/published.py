"""Reading what is published."""

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
