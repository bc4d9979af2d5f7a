"""Care: what was decided becomes messages and tasks in the ledger. Nothing is sent here."""

from datetime import datetime

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from careloop.care import plan_published
from careloop.clock import clock_at
from careloop.errors import CareloopError
from careloop.plan import Planned
from careloop.program.model import Program
from careloop.refresh import program_of
from careloop.settings import Settings, load_settings
from flows import artifacts


@task(task_run_name="plan decisions", cache_policy=NO_CACHE)
def plan_decisions(settings: Settings, program: Program, now: datetime) -> list[Planned]:
    """Plan every published day that is not planned yet; what has expired is never sent."""
    log = get_run_logger().info
    return plan_published(settings, program, now, lambda n, all: log(f"{n:,} of {all:,}"))


@flow(name="care", flow_run_name=artifacts.run_name, log_prints=True)
def care(program: str | None = None, now: str | None = None) -> State:
    """Plan the care that the last refresh decided.

    program: pack by name or path; by default the settings'. now: time to go by, in UTC unless it
    has a zone; by default the time of day. Running it twice changes nothing.
    """
    try:
        settings = load_settings(program=program)
        pack = program_of(settings)
        planned = plan_decisions(settings, pack, clock_at(now)())
    except CareloopError as error:
        get_run_logger().error(str(error))
        return Failed(message=error.what)
    artifacts.planned(settings, planned)
    if not planned:
        return Completed(message="everything published is planned already")
    messages = sum(one.planned for one in planned)
    late = sum(one.expired for one in planned)
    days = f"{len(planned)} day" + ("" if len(planned) == 1 else "s")
    return Completed(message=f"{messages:,} messages and tasks of {days}, {late:,} too late")


if __name__ == "__main__":
    care()
