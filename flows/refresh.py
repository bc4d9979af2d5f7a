"""The daily refresh: sources → lake → raw gate → dbt → marts gate → published marts."""

from datetime import datetime
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from careloop.care import plan_missed_day, take_in_receipts
from careloop.clock import now, parse_as_of, start_of_day
from careloop.errors import CareloopError, UnreachableError
from careloop.home import hold
from careloop.ingest.run import Ingested
from careloop.program.model import Program
from careloop.published import missed_days
from careloop.quality.results import GateResult
from careloop.refresh import Published, Refresh, program_of
from careloop.settings import Settings, load_settings
from careloop.transform.dbt import Node
from flows import artifacts


def _unreachable(_task: Any, _run: Any, state: State) -> bool:
    return isinstance(state.result(raise_on_failure=False), UnreachableError)


@task(
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=_unreachable,
    task_run_name="load sources",
    cache_policy=NO_CACHE,
)
def load_sources(refresh: Refresh) -> Ingested:
    """Load what is new, and record the receipts among it; a database that can't be reached is
    tried again."""
    loaded = refresh.ingest(get_run_logger().info)
    artifacts.rows(loaded)
    loaded.raise_if_refused()
    take_in_receipts(refresh.settings, refresh.program, now())
    return loaded


@task(task_run_name="prepare warehouse", cache_policy=NO_CACHE)
def prepare_warehouse(refresh: Refresh) -> None:
    """Start the run's private warehouse from the lake and the program pack."""
    refresh.prepare()


@task(task_run_name="raw gate", cache_policy=NO_CACHE)
def check_raw(refresh: Refresh) -> GateResult:
    """The gate before dbt; a critical failure stops the run."""
    return _check(refresh, refresh.raw_gate(get_run_logger().info))


@task(task_run_name="marts gate", cache_policy=NO_CACHE)
def check_marts(refresh: Refresh) -> GateResult:
    """The gate before publishing; a critical failure stops the run."""
    return _check(refresh, refresh.marts_gate(get_run_logger().info))


def _check(refresh: Refresh, gate: GateResult) -> GateResult:
    artifacts.quality(gate, refresh.write_report(), refresh.program.locales[0])
    refresh.stop_if_critical(gate, now(), get_run_logger().warning)
    return gate


@task(task_run_name="{name}", cache_policy=NO_CACHE)
def dbt_node(name: str, node: Node) -> State:  # noqa: ARG001 the run is named after it
    """One dbt model or test, shown for as long as dbt works on it."""
    node.wait()
    message = f"{node.message or node.status} in {node.seconds:.2f} s"
    return Failed(message=message) if node.failed else Completed(message=message)


@task(task_run_name="publish", cache_policy=NO_CACHE)
def publish_marts(refresh: Refresh) -> Published:
    """Put the marts in place; readers that are open keep their version."""
    published = refresh.publish()
    artifacts.published(refresh.settings, published)
    return published


@task(task_run_name="plan the missed day", cache_policy=NO_CACHE)
def plan_day(settings: Settings, program: Program) -> None:
    """Record what the missed day would have sent, so that the next day knows."""
    plan_missed_day(settings, program, now())


def _run_name() -> str:
    asked = runtime.flow_run.parameters.get("as_of")
    return f"refresh {asked or format(runtime.flow_run.scheduled_start_time, '%Y-%m-%d %H:%M %Z')}"


@flow(name="refresh", flow_run_name=_run_name, log_prints=True)
def refresh(as_of: str | None = None, program: str | None = None) -> State:
    """Refresh the marts.

    as_of: day or time the run looks from, in the program's zone; by default the start of the
    day this run was scheduled for, after the days that were missed since the last run.
    program: pack by name or path; by default the settings'.
    """
    try:
        return _refresh(as_of, program)
    except CareloopError as error:
        get_run_logger().error(str(error))
        return Failed(message=error.what)


def _refresh(as_of: str | None, program: str | None) -> State:
    settings = load_settings(program=program)
    pack = program_of(settings)
    if as_of:
        return _refresh_day(settings, pack, parse_as_of(as_of, pack.zone))
    moment = start_of_day(pack.zone, runtime.flow_run.scheduled_start_time)
    for day in missed_days(settings, pack.name, moment):
        get_run_logger().info(f"catching up {day:%Y-%m-%d}")
        _refresh_day(settings, pack, day)
        plan_day(settings, pack)
    return _refresh_day(settings, pack, moment)


def _refresh_day(settings: Settings, pack: Program, moment: datetime) -> State:
    steps = Refresh(settings, pack, moment)
    progress = artifacts.Progress(total=5)
    with hold(settings):
        loaded = load_sources(steps)
        progress.step("sources loaded")
        prepare_warehouse(steps)
        check_raw(steps)
        progress.step("raw data checked")
        build = steps.build()
        for node in build:
            dbt_node(f"{node.kind} {node.name}", node, return_state=True)
        build.raise_if_failed()
        progress.step("marts built")
        check_marts(steps)
        progress.step("marts checked")
        published = publish_marts(steps)
        progress.step("published")
    rows = sum(batch.rows_loaded for batch in loaded.loaded)
    state = "published" if published.current else "replayed"
    return Completed(
        message=f"{state} {pack.name} as of {moment:%Y-%m-%d %H:%M}, {rows:,} new rows"
    )


if __name__ == "__main__":
    refresh()
