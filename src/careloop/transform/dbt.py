"""Running dbt in this process, node by node."""

import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from careloop.errors import TransformError
from careloop.settings import PROJECT_ROOT, Settings
from careloop.warehouse import cores

DBT_PROJECT = PROJECT_ROOT / "dbt_project"
SHOWN = {"model": "model", "test": "test"}
NOT_UNIT_TESTS = ("--exclude-resource-type", "unit_test")


@dataclass
class Node:
    """One model or test that dbt runs. ``wait`` blocks until it has finished."""

    name: str
    kind: str
    description: str
    done: threading.Event
    status: str = ""
    message: str = ""
    seconds: float = 0.0

    def wait(self) -> "Node":
        self.done.wait()
        return self

    @property
    def failed(self) -> bool:
        return self.status in ("error", "fail", "runtime error")


class DbtBuild:
    """``dbt build`` over the prepared warehouse: iterate to get each node as it starts.

    After the iteration ``raise_if_failed`` raises TransformError naming the first node that
    failed. Data tests stop what depends on them; unit tests belong to the test suite.
    """

    def __init__(self, settings: Settings, select: list[str] | None = None) -> None:
        self._settings = settings
        self._select = select or []
        self._queue: queue.Queue[Node | None] = queue.Queue()
        self._running: dict[str, Node] = {}
        self._result: Any = None
        self.nodes: list[Node] = []

    def __iter__(self) -> Iterator[Node]:
        thread = threading.Thread(target=self._invoke, name="dbt", daemon=True)
        thread.start()
        while (node := self._queue.get()) is not None:
            self.nodes.append(node)
            yield node
        thread.join()

    def run(self) -> "DbtBuild":
        """Run to the end without looking at single nodes."""
        for node in self:
            node.wait()
        return self

    def raise_if_failed(self) -> None:
        failed = [node for node in self.nodes if node.failed]
        if failed:
            first = failed[0]
            others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise TransformError(
                f"the dbt {first.kind} {first.name} failed{others}: {first.message}",
                f"the compiled SQL is in {self._settings.build / 'target'}; "
                "the last published version stays in place",
            )
        if self._result is None or not self._result.success:
            reason = getattr(self._result, "exception", None) or "see the log in build/logs"
            raise TransformError(f"dbt did not run: {reason}", "the last published version stays")

    def _invoke(self) -> None:
        try:
            self._result = invoke(
                self._settings,
                # The manifest is for documentation; writing it takes a second of every run.
                ["build", "--no-write-json", *NOT_UNIT_TESTS, *self._selection()],
                callback=self._on_event,
            )
        finally:
            for node in self._running.values():
                node.done.set()
            self._queue.put(None)

    def _selection(self) -> list[str]:
        return ["--select", *self._select] if self._select else []

    def _on_event(self, event: Any) -> None:
        if event.info.name not in ("NodeStart", "NodeFinished", "LogTestResult", "LogModelResult"):
            return
        info = event.data.node_info
        if info.resource_type not in SHOWN:
            return
        if event.info.name == "NodeStart":
            node = Node(info.node_name, SHOWN[info.resource_type], "", threading.Event())
            self._running[info.unique_id] = node
            self._queue.put(node)
        elif event.info.name == "NodeFinished":
            node = self._running.pop(info.unique_id)
            result = event.data.run_result
            node.status = str(result.status)
            node.message = _told(str(result.message))
            node.seconds = float(result.execution_time)
            node.done.set()


def _told(message: str) -> str:
    """dbt's message without its call stack, on one line."""
    return " ".join(message.partition("> in macro")[0].split())[:500]


def invoke(settings: Settings, arguments: list[str], callback: Any = None) -> Any:
    """Run a dbt command on the warehouse; its connection is closed afterwards."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    try:
        failed = _parse(settings)
        if failed:
            return failed
        # A run writes into the manifest, so each gets a copy.
        runner = dbtRunner(manifest=_parsed[0].deepcopy(), callbacks=[callback] if callback else [])
        return runner.invoke([*arguments, *_folders(settings)])
    finally:
        DuckDBConnectionManager.close_all_connections()


def manifest(settings: Settings) -> Any:
    """The parsed project: its models, and what each depends on. Raises TransformError."""
    failed = _parse(settings)
    if failed:
        raise TransformError(f"dbt did not parse: {failed.exception}", "reinstall careloop")
    return _parsed[0]


def _parse(settings: Settings) -> Any:
    """Parse the project unless that was done; returns dbt's result only if it failed."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    os.environ.update(environment(settings))
    if _parsed:
        return None
    try:
        result = dbtRunner().invoke(["parse", "--no-write-json", *_folders(settings)])
    finally:
        DuckDBConnectionManager.close_all_connections()
    if not result.success:
        return result
    _parsed.append(result.result)
    return None


def _folders(settings: Settings) -> list[str]:
    return [
        f"--project-dir={DBT_PROJECT}",
        f"--profiles-dir={DBT_PROJECT}",
        f"--target-path={settings.build / 'target'}",
        f"--log-path={settings.build / 'logs'}",
        "--log-level=none",
    ]


# The parsed project, once per process: it is the same for every home and takes ten seconds.
_parsed: list[Any] = []


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables that ``dbt_project/profiles.yml`` reads."""
    return {
        "CARELOOP_WAREHOUSE": str(settings.warehouse),
        "CARELOOP_MARTS": str(settings.marts),
        "CARELOOP_THREADS": str(settings.threads or cores()),
        "CARELOOP_MEMORY_LIMIT": settings.memory_limit,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
