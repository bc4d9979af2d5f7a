"""Judging a period: calibration, the review's page, workbook and PDF, and telling the operators of
a critical KPI that was missed. The flow and the command line run these same steps; all may be run
again and give the same."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from careloop.errors import CareloopError, SettingsError
from careloop.escalate.operators import KPI, Notice, Told, tell_operators
from careloop.escalate.words import say as tell
from careloop.program.base import language as language_of
from careloop.program.model import Program
from careloop.published import (
    check_known,
    current_version,
    open_published,
    run_of,
    version_day,
    version_of,
    versions,
)
from careloop.review import Period, Written, write
from careloop.review.excel import write_workbook
from careloop.review.model import Section
from careloop.review.pdf import write_pdf
from careloop.review.reader import kpi_rows
from careloop.review.words import Words
from careloop.settings import Settings
from careloop.warehouse import Row

Progress = Callable[[str], None]
MOST_TOLD = 20


class NotOverError(CareloopError):
    """What is published does not reach the end of the period."""


@dataclass(frozen=True)
class Marts:
    """The published version a review is made from, and its as_of (aware, program's zone)."""

    version: str
    as_of: datetime


@dataclass(frozen=True)
class Calibrated:
    """What the calibration proposes. folder: of the proposed pack, its diff and the evidence."""

    folder: Path
    proposals: int
    section: Section


@dataclass(frozen=True)
class Judged:
    """What came of a period. pdf: None where none was made, and why_no_pdf says why. calibrated:
    None where it was not asked for."""

    period: Period
    language: str
    marts: Marts
    written: Written
    workbook: Path
    pdf: Path | None
    why_no_pdf: str | None
    calibrated: Calibrated | None
    told: Told | None
    seconds: dict[str, float]


def judge(
    settings: Settings,
    program: Program,
    period: Period,
    now: datetime,
    *,
    language: str | None = None,
    version: str | None = None,
    pdf: bool | None = None,
    calibration: bool = True,
    alerts: bool = False,
    progress: Progress = lambda _: None,
) -> Judged:
    """Everything there is to a period. language: zh or en, the program's if None. pdf: None makes
    one where a browser is at hand. alerts: tell the operators of critical KPIs that were missed.

    A period that is not over yet is judged as far as it is seen. Raises SettingsError for a
    period that began after the marts, and what the steps raise.
    """
    lang = language or language_of(program.locales[0])
    seconds: dict[str, float] = {}

    def step(name: str, work: Callable[[], Any]) -> Any:
        progress(name)
        begun = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - begun, 2)
        return result

    marts = marts_for(settings, program, period, version)
    found = None
    if calibration and period.kind == "quarter":
        found = step(
            "calibration", lambda: calibrated(settings, program, period, marts, lang, progress)
        )
    written = step("page", lambda: page(settings, program, period, marts, lang, found, progress))
    book = step("workbook", lambda: workbook(program, period, marts, written))
    printed, why = None, None
    if pdf is not False:
        printed, why = step("pdf", lambda: print_page(settings, marts, written, pdf))
    told = step("alerts", lambda: alert(settings, program, period, marts, now)) if alerts else None
    return Judged(period, lang, marts, written, book, printed, why, found, told, seconds)


def marts_for(
    settings: Settings, program: Program, period: Period, version: str | None = None
) -> Marts:
    """The published version to judge a period by: the current one unless it is named. Raises
    SettingsError where it is of another program, from before the period or long after it."""
    con = open_published(settings, version)
    try:
        run = run_of(con, program.name)
        local = run["as_of_local"]
        if not period.is_ahead(local):
            check_known(con, period)
    finally:
        con.close()
    if period.is_ahead(local):
        raise SettingsError(
            f"{period.name} had not begun when the marts were built, as of {local:%Y-%m-%d %H:%M}",
            "name an earlier period, or run `careloop run` once it has begun",
        )
    name = version or next(v for v in reversed(versions(settings)) if v.endswith(run["run_id"]))
    return Marts(name, local.replace(tzinfo=ZoneInfo(program.zone)))


def wait_for_marts(
    settings: Settings,
    program: Program,
    period: Period,
    minutes: float,
    progress: Progress,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Marts:
    """The current version once it reaches the end of the period; looked for once a minute.

    Raises NotOverError when it does not after ``minutes``, and what ``marts_for`` raises.
    """
    end = datetime.combine(period.end_day, datetime.min.time(), ZoneInfo(program.zone))
    waited = 0.0
    while True:
        marts = _current(settings, program)
        if marts and marts.as_of >= end:
            return marts_for(settings, program, period, marts.version)
        reached = f"as of {marts.as_of:%Y-%m-%d %H:%M}" if marts else "not there"
        if waited >= minutes:
            raise NotOverError(
                f"{period.name} ends with {end - timedelta(days=1):%Y-%m-%d}, and the published "
                f"marts are {reached}",
                f"run the refresh as of {period.end_day} or later, then this again",
            )
        if not waited:
            progress(f"the marts are {reached}; waiting for those of {period.end_day}")
        step = min(1.0, minutes - waited)
        sleep(60 * step)
        waited += step


def _current(settings: Settings, program: Program) -> Marts | None:
    file = current_version(settings)
    if file is None:
        return None
    name = version_of(file)
    return Marts(name, version_day(name, program.zone))


def calibrated(
    settings: Settings,
    program: Program,
    period: Period,
    marts: Marts,
    language: str,
    progress: Progress,
) -> Calibrated:
    """What the quarter says about the numbers of the pack; changes nothing."""
    # scikit-learn takes a second to import, which a month's short form need not wait for.
    from careloop.calibrate import calibrate
    from careloop.judge.calibration_section import section

    found = calibrate(settings, program, period, version=marts.version, progress=progress)
    return Calibrated(found.pack_folder, len(found.proposals), section(found, language))


def page(
    settings: Settings,
    program: Program,
    period: Period,
    marts: Marts,
    language: str,
    found: Calibrated | None,
    progress: Progress,
) -> Written:
    """The page, with what the calibration proposes."""
    return write(
        settings,
        program,
        period,
        language=language,
        version=marts.version,
        extra=found.section if found else None,
        progress=progress,
    )


def workbook(program: Program, period: Period, marts: Marts, written: Written) -> Path:
    """The tables of the page as a workbook beside it."""
    path = written.html.with_suffix(".xlsx")
    title = f"{getattr(program.title, written.language)} {period.name}"
    made_at = marts.as_of.astimezone(UTC).replace(tzinfo=None)
    words = Words("words", written.language, program)
    write_workbook(path, title, written.sections, written.headline, words, made_at)
    return path


def print_page(
    settings: Settings, marts: Marts, written: Written, asked: bool | None
) -> tuple[Path | None, str | None]:
    """The page as a PDF beside it, or why there is none, which is an error only where a PDF was
    asked for."""
    try:
        pdf = written.html.with_suffix(".pdf")
        return write_pdf(settings, written.html, pdf, marts.as_of, language=written.language), None
    except CareloopError as error:
        if asked:
            raise
        return None, str(error)


def alert(
    settings: Settings, program: Program, period: Period, marts: Marts, now: datetime
) -> Told:
    """Tell the operators of the critical KPIs that were missed, once per KPI and period."""
    missed = missed_kpis(settings, period, marts)
    lang = language_of(program.locales[0])
    words = Words("words", lang, program)
    notices = [Notice(KPI, _about(program, row), _line(row, words)) for row in missed]
    title = getattr(program.title, lang)
    when = words.period(period.first_day, period.kind)
    subject = tell("kpi_subject", lang, program=title, period=when, count=len(notices))
    return tell_operators(settings, subject, notices, program.locales[0], now)


def missed_kpis(settings: Settings, period: Period, marts: Marts) -> list[Row]:
    """Critical targets that were missed in the last of their periods that ended within this one;
    one row per target and slice, owners together."""
    values = {"first_day": period.first_day, "end_day": period.end_day}
    return kpi_rows(settings, _MISSED, values, marts.version)


_MISSED = """
    with
    judged as (
        select * from rpt_kpi_targets
        where is_critical and is_over and period_end > $first_day and period_end <= $end_day
        qualify period_start = max(period_start) over (partition by target_id)
    ),
    counted as (
        select
            target_id,
            kpi,
            period_type,
            period_start,
            slice_kind,
            case when slice_kind <> 'owner' then slice end as slice,
            any_value(target_no) as target_no,
            any_value(direction) as direction,
            count(*) filter (where state = 'missed') as missed,
            count(*) filter (where state in ('met', 'on_track', 'missed')) as judged,
            min(value) filter (where state = 'missed') as lowest,
            max(value) filter (where state = 'missed') as highest,
            any_value(target) as target
        from judged
        group by target_id, kpi, period_type, period_start, slice_kind, 6
    )
    select counted.*, dim_kpis.unit
    from counted inner join dim_kpis using (kpi)
    where missed > 0
    order by target_no, target_id, slice_kind, slice
"""


def _about(program: Program, row: Row) -> tuple[str, ...]:
    slice_name = row["slice"] or ""
    period = f"{row['period_type']}:{row['period_start']}"
    return (program.name, row["target_id"], period, row["slice_kind"], slice_name)


def _line(row: Row, words: Words) -> str:
    """A target in a line: what it is, what came of it, what was wanted; never whose it is."""
    values = {
        "kpi": words.kpi(row["kpi"]),
        "period": words.period(row["period_start"], row["period_type"]),
        "target": words.value(row["target"], row["unit"]),
        "value": words.value(row["lowest"], row["unit"]),
        "missed": row["missed"],
        "judged": row["judged"],
    }
    if row["slice_kind"] == "owner":
        return tell("kpi_line_owners", words.language, **values)
    line = tell("kpi_line", words.language, **values)
    if row["slice_kind"] == "all":
        return line
    return f"{words.member(row['slice_kind'], row['slice'])}: {line}"
