"""Writing the review of a period from a published version."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

from careloop.durable import put
from careloop.errors import CareloopError, SettingsError
from careloop.program.model import Program
from careloop.program.period import Period
from careloop.published import open_published, run_of
from careloop.review.model import Section, Sentence, Table
from careloop.review.page import render
from careloop.review.reader import Reader
from careloop.review.sections import build_sections, headline
from careloop.review.targets import judged, whole
from careloop.settings import Settings
from careloop.warehouse import Row

Progress = Callable[[str], None]

_LAST_EVENT = "select max(least(max_event_at, $as_of)) from rpt_loads"


@dataclass(frozen=True)
class Written:
    """What was written. folder: of the period; kpis: the targets as judged, without owners;
    tables: all of them, in full, in the page's order; sections: the headline first."""

    folder: Path
    html: Path
    headline: list[Sentence]
    kpis: list[Row]
    tables: list[Table]
    sections: list[Section]
    language: str
    as_of: datetime


def write(
    settings: Settings,
    program: Program,
    period: Period,
    *,
    language: str,
    version: str | None = None,
    extra: Section | None = None,
    progress: Progress = lambda _: None,
) -> Written:
    """Write the review of a period as a page under home; the same version gives the same bytes.

    language: zh or en; version: of what is published, the current one if None; extra: a section
    made elsewhere, put before the decisions. Raises SettingsError where nothing is published, the
    version is of another program or the period lies after it, CareloopError where marts are
    missing.
    """
    con = open_published(settings, version)
    try:
        run = _run(con, program)
        zone = ZoneInfo(run["zone"])
        as_of = run["as_of_local"].replace(tzinfo=zone)
        if period.is_ahead(as_of):
            raise SettingsError(
                f"{period.name} lies after what is published, which is as of {as_of.date()}",
                "name an earlier period, or run `careloop run` first",
            )
        reader = Reader(con, program, period, language, as_of)
        progress("reading")
        sections = build_sections(reader, extra)
        first = headline.build(reader, sections)
        progress("drawing")
        text = render(reader, first, sections, run)
        kpis = whole(judged(reader))
    except duckdb.Error as error:
        raise CareloopError(
            f"the review can't be read: {str(error).splitlines()[0]}",
            "run `careloop run` with this version of careloop first",
        ) from error
    finally:
        con.close()
    path = settings.home / "reviews" / period.name / f"review-{language}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, text.encode())
    everything = [first, *sections]
    tables = [table for section in everything for table in all_tables(section)]
    return Written(
        path.parent, path, list(first.sentences), kpis, tables, everything, language, as_of
    )


def all_tables(section: Section) -> list[Table]:
    """The tables of a section and its parts, in the page's order."""
    own = [block for block in section.blocks if isinstance(block, Table)]
    return own + [table for part in section.sections for table in all_tables(part)]


def _run(con: duckdb.DuckDBPyConnection, program: Program) -> Row:
    """The row of rpt_run, with data_until: local time of the last event seen, or None."""
    run = run_of(con, program.name)
    loaded = con.execute(_LAST_EVENT, {"as_of": run["as_of_utc"]}).fetchall()[0][0]
    last = run["last_event_at"] or loaded
    zone = ZoneInfo(run["zone"])
    run["data_until"] = last.replace(tzinfo=UTC).astimezone(zone) if last else None
    return run
