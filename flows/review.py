"""The review of a quarter, and its short form of a month: calibration, page, workbook, PDF; and
the operators hear of critical KPIs that were missed."""

from datetime import datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from careloop import judge
from careloop.clock import clock_at
from careloop.errors import CareloopError
from careloop.escalate.operators import Told
from careloop.judge import Calibrated, Marts
from careloop.program.base import language as language_of
from careloop.program.model import Program
from careloop.refresh import program_of
from careloop.review import Period, Written, last_period, parse_period
from careloop.settings import Settings, load_settings
from flows import artifacts


@task(task_run_name="marts of {period.name}", cache_policy=NO_CACHE)
def wait_for_marts(settings: Settings, program: Program, period: Period, minutes: float) -> Marts:
    """The published version that reaches the end of the period, once it is there."""
    return judge.wait_for_marts(settings, program, period, minutes, get_run_logger().info)


@task(task_run_name="calibration", cache_policy=NO_CACHE)
def calibrate(
    settings: Settings, program: Program, period: Period, marts: Marts, language: str
) -> Calibrated:
    """What the quarter says about the numbers of the pack: a proposal."""
    return judge.calibrated(settings, program, period, marts, language, get_run_logger().info)


@task(task_run_name="page", cache_policy=NO_CACHE)
def write_page(
    settings: Settings,
    program: Program,
    period: Period,
    marts: Marts,
    language: str,
    found: Calibrated | None,
) -> Written:
    """The review as one page."""
    log = get_run_logger().info
    written = judge.page(settings, program, period, marts, language, found, log)
    artifacts.headline(written, period, program)
    artifacts.kpis(written, program)
    return written


@task(task_run_name="workbook", cache_policy=NO_CACHE)
def write_workbook(program: Program, period: Period, marts: Marts, written: Written) -> Path:
    """Its tables as a workbook."""
    return judge.workbook(program, period, marts, written)


@task(task_run_name="pdf", cache_policy=NO_CACHE)
def print_pdf(settings: Settings, marts: Marts, written: Written) -> Path | None:
    """The page as a PDF, where a browser is at hand."""
    pdf, why = judge.print_page(settings, marts, written, None)
    if why:
        get_run_logger().warning(why)
    return pdf


@task(task_run_name="alerts", retry_delay_seconds=[10, 60, 300], cache_policy=NO_CACHE)
def tell(
    settings: Settings, program: Program, period: Period, marts: Marts, now: datetime
) -> Told | State:
    """The operators hear of critical KPIs that were missed, once per KPI and period."""
    told = judge.alert(settings, program, period, marts, now)
    return Failed(message=f"not told: {told.reason}") if told.failed else told


def _period(kind: Literal["quarter", "month"], zone: str, now: str | None) -> Period:
    """The last one that was over when the run was to start."""
    moment = clock_at(now)() if now else runtime.flow_run.scheduled_start_time
    return last_period(kind, moment.astimezone(ZoneInfo(zone)).date())


@flow(name="review", flow_run_name=artifacts.run_name, log_prints=True)
def review(
    period: str | None = None,
    kind: Literal["quarter", "month"] = "quarter",
    language: str | None = None,
    wait_minutes: float = 120,
    program: str | None = None,
    now: str | None = None,
) -> State:
    """Write the review of a period from the published marts.

    period: like 2026Q3 or 2026-10; by default the last one of its kind that was over when the run
    was to start. language: zh or en, by default the program's. wait_minutes: how long to wait for
    a refresh that reaches the period's end; with 0 alerts are tried only once, too. program: pack
    by name or path; by default the settings'. now: time to go by, in UTC unless it has a zone; by
    default the time of day. The same again gives the same files and tells nobody twice.
    """
    try:
        settings = load_settings(program=program)
        pack = program_of(settings)
        judged = parse_period(period) if period else _period(kind, pack.zone, now)
        lang = language or language_of(pack.locales[0])
        marts = wait_for_marts(settings, pack, judged, wait_minutes)
        found, without = None, ""
        if judged.kind == "quarter":
            tried = calibrate(settings, pack, judged, marts, lang, return_state=True)
            # The meeting needs its review, whatever becomes of the proposals.
            found = None if tried.is_failed() else tried.result()
            without = "" if found else "; there is no calibration, its task says why"
        written = write_page(settings, pack, judged, marts, lang, found)
        book = write_workbook(pack, judged, marts, written)
        pdf = print_pdf(settings, marts, written)
    except CareloopError as error:
        get_run_logger().error(str(error))
        return Failed(message=error.what)
    artifacts.files(written, book, pdf, found)
    patient = tell.with_options(retries=3 if wait_minutes else 0)
    told = patient(settings, pack, judged, marts, clock_at(now)(), return_state=True)
    if told.is_failed():
        return Failed(message=f"{judged.name} is written, but its alerts are {told.message}")
    return Completed(message=artifacts.review_message(written, judged, told.result()) + without)


if __name__ == "__main__":
    review()
