"""A Prefect server and worker on one machine, started and stopped as one thing."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from careloop.errors import CareloopError
from careloop.program.model import Program
from careloop.settings import PROJECT_ROOT, Settings

POOL = "careloop"
START_SECONDS = 120
# The months the quarterly review is due in, by how often the program's review meeting is.
REVIEW_MONTHS = {"half_year": "1,7", "year": "1"}
EACH_QUARTER = "1,4,7,10"


def deploy_all(program: Program, env: dict[str, str]) -> None:
    """Create the work pool and apply every deployment of ``prefect.yaml``."""
    env = env | {
        "PROGRAM_ZONE": program.zone,
        "REVIEW_MONTHS": REVIEW_MONTHS.get(program.operation.review_every, EACH_QUARTER),
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    for arguments in (
        ["work-pool", "create", POOL, "--type", "process", "--overwrite"],
        ["--no-prompt", "deploy", "--all"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env=env,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise CareloopError(
                f"`prefect {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}",
                "check that the Prefect server answers",
            )


class Stack:
    """Server and worker of one home directory; leaving the context stops both.

    The server keeps its history in ``<home>/prefect`` and listens on 127.0.0.1 only.
    """

    def __init__(self, settings: Settings, program: Program, port: int) -> None:
        self.settings = settings
        self.program = program
        self.port = port
        self.api_url = f"http://127.0.0.1:{port}/api"
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Stack":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in reversed(list(self._children.values())):
            _stop(child)

    @property
    def env(self) -> dict[str, str]:
        """Environment of every process of the stack."""
        home = self.settings.home / "prefect"
        home.mkdir(parents=True, exist_ok=True)
        storage = "prefect.server.concurrency.lease_storage.filesystem"
        return {
            **os.environ,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": storage,
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "DO_NOT_TRACK": "1",
            "CARELOOP_HOME": str(self.settings.home),
            "CARELOOP_PROGRAM": self.settings.program,
            "CARELOOP_SOURCES": json.dumps([str(p.resolve()) for p in self.settings.sources]),
        }

    def start_server(self) -> None:
        """Start the server and wait until it answers; raises CareloopError if it doesn't."""
        if self._answers():
            raise CareloopError(
                f"something already answers on port {self.port}",
                "stop it, or choose another port with --port",
            )
        log = self.settings.home / "prefect" / "server.log"
        self._start("server", ["server", "start", "--host", "127.0.0.1"], log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._children["server"].poll() is not None or time.monotonic() > deadline:
                raise CareloopError("the Prefect server did not start", f"its log is {log}")
            time.sleep(0.3)

    def deploy(self) -> None:
        """Apply ``prefect.yaml``."""
        deploy_all(self.program, self.env)

    def start_worker(self) -> None:
        """Start a process worker on the pool."""
        log = self.settings.home / "prefect" / "worker.log"
        self._start("worker", ["worker", "start", "--pool", POOL, "--name", POOL], log)

    def run_flow(self, module: str, parameters: dict[str, Any]) -> int:
        """Run the flow that is named like its module, such as ``flows.care``, in a process of its
        own; returns its exit code."""
        code = (
            "import json, sys; from careloop.quiet_exit import QuietExit; ending = QuietExit(); "
            f"from {module} import {module.rpartition('.')[2]} as flow; "
            "state = flow(**json.loads(sys.argv[1]), return_state=True); "
            "ending.code = 0 if state.is_completed() else 1"
        )
        arguments = [sys.executable, "-c", code, json.dumps(parameters)]
        return subprocess.run(arguments, env=self.env, cwd=PROJECT_ROOT).returncode

    def free_dead_runs(self) -> int:
        """Crash the runs an earlier stop left open, for they would hold the only slot for ever.

        Before this stack's worker starts nothing of it can be running.
        """
        return asyncio.run(_crash_open_runs(self.api_url))

    def watch(self) -> None:
        """Wait for Ctrl-C or SIGTERM; raises CareloopError when a process ends by itself."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while True:
                for name, child in self._children.items():
                    if child.poll() is not None:
                        log = self.settings.home / "prefect" / f"{name}.log"
                        raise CareloopError(f"the Prefect {name} ended", f"its log is {log}")
                time.sleep(1)
        except KeyboardInterrupt:
            return

    def _start(self, name: str, arguments: list[str], log: Path) -> None:
        env = self.env
        with log.open("ab") as output:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", "prefect", *arguments],
                env=env,
                cwd=PROJECT_ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_default_signals,
            )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=2) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False


def _default_signals() -> None:
    # A process started in the background of a script would otherwise ignore being stopped.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.send_signal(signal.SIGINT)
    try:
        child.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


async def _crash_open_runs(api_url: str) -> int:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    open_types = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    chosen = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=open_types)))
    async with PrefectClient(api_url) as client:
        runs = await client.read_flow_runs(flow_run_filter=chosen)
        for run in runs:
            state = Crashed(message="the machine or the worker stopped while this run was open")
            await client.set_flow_run_state(run.id, state, force=True)
    return len(runs)
