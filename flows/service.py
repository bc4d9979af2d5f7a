"""Service between two refreshes: open cases are watched, and who must know is told."""

from datetime import datetime

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from careloop.clock import clock_at, parse_moment
from careloop.errors import CareloopError
from careloop.program.model import Program
from careloop.refresh import program_of
from careloop.service import Round, service_round
from careloop.settings import Settings, load_settings
from flows import artifacts


@task(task_run_name="watch", cache_policy=NO_CACHE)
def watch(settings: Settings, program: Program, as_of: datetime, now: datetime) -> Round:
    """One round; whatever a killed one left undone is done by the next."""
    return service_round(settings, program, as_of, now, get_run_logger().info)


@flow(name="service", flow_run_name=artifacts.run_name, log_prints=True)
def service(as_of: str | None = None, program: str | None = None, now: str | None = None) -> State:
    """Load what is new, find what is due or late, escalate, tell the team and the customers.

    as_of: time the round looks from, in the program's zone; by default the minute of now.
    program: pack by name or path; by default the settings'. now: time to go by, in UTC unless it
    has a zone; by default the time of day. The same round twice changes nothing.
    """
    try:
        settings = load_settings(program=program)
        pack, moment = program_of(settings), clock_at(now)()
        done = watch(settings, pack, parse_moment(as_of, pack.zone, moment), moment)
    except CareloopError as error:
        get_run_logger().error(str(error))
        return Failed(message=error.what)
    artifacts.cases(done)
    return Completed(message=done.summary)


if __name__ == "__main__":
    service()
