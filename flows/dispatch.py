"""Dispatch: what is planned and due goes out, each message once."""

from collections.abc import Callable
from datetime import datetime

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed, State

from careloop.care import send_due
from careloop.clock import clock_at
from careloop.dispatch import Summary
from careloop.errors import CareloopError
from careloop.program.model import Program
from careloop.refresh import program_of
from careloop.settings import Settings, load_settings
from flows import artifacts


@task(task_run_name="send what is due", cache_policy=NO_CACHE)
def send(
    settings: Settings, program: Program, limit: int | None, now: Callable[[], datetime]
) -> Summary:
    """Send on every channel; a dead dispatcher's messages are found and explained."""
    progress = artifacts.Counter()
    return send_due(settings, program, now, most=limit, progress=progress.show)


@flow(name="dispatch", flow_run_name=artifacts.run_name, log_prints=True)
def dispatch(limit: int | None = None, program: str | None = None, now: str | None = None) -> State:
    """Send what is due.

    limit: messages handed over at most. program: pack by name or path; by default the settings'.
    now: time to go by, in UTC unless it has a zone; by default the time of day.
    Runs may overlap or be repeated: a message is held by one of them and sent once.
    """
    try:
        settings = load_settings(program=program)
        summary = send(settings, program_of(settings), limit, clock_at(now))
    except CareloopError as error:
        get_run_logger().error(str(error))
        return Failed(message=error.what)
    artifacts.sent(summary)
    done = [f"{summary.of(what):,} {what}" for what in artifacts.SENT if summary.of(what)]
    left = sum(summary.left.values())
    message = (", ".join(done) or "nothing was due") + (f"; {left:,} still due" if left else "")
    if summary.halted:
        message = f"{summary.halted}: {message}"
    return Completed(message=message)


if __name__ == "__main__":
    dispatch()
