"""Processes that plan, dispatch or escalate and are killed, started in no time.

One process imports everything, then forks a child for each order it reads: one JSON line with
home, ledger_url, job, now and `after`, the seconds after which each child is killed (null: never).
Answers with a JSON list: the exit code of each, -9 if it was killed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from benchmarks.dispatch_lab import FileChannel, Lab, file_channels
from careloop.channels.base import Receipt, Rendered
from careloop.escalate import escalate, send_alerts
from careloop.ledger.database import open_ledger


class Nursery:
    """The process that forks, from outside."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, lab: Lab, job: str, now: datetime, after: list[float | None]) -> list[int]:
        """Run the job in as many processes as ``after`` has times; their exit codes."""
        home, url = str(lab.settings.home), lab.settings.ledger_url
        order = {"home": home, "url": url, "job": job, "now": now.isoformat(), "after": after}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)


class Deadly(FileChannel):
    """Takes one message, and the process with it."""

    def send(self, message: Rendered) -> Receipt:
        super().send(message)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


def work(home: Path, url: str | None, job: str, now: datetime) -> None:
    """``plan`` every version of the home, ``dispatch`` once, or ``die-<route>``: dispatch and be
    killed after the first message on that route was handed over. ``escalate`` the watched clocks
    and tell of them, or ``die-escalate``: be killed after the first list was handed over."""
    lab = Lab.at(home, url)
    channels = file_channels(home)
    if job.endswith("escalate"):
        serve(lab, home, now, deadly=job.startswith("die-"))
        return
    if job == "dispatch":
        lab.dispatch(channels, now)
        return
    if job.startswith("die-"):
        route = job.removeprefix("die-")
        lab.dispatch({route: Deadly(home / "received", route, route == "email")}, now)
    for file in sorted(lab.settings.published.glob("marts-*.duckdb")):
        lab.plan(file, now)


def serve(lab: Lab, home: Path, now: datetime, *, deadly: bool) -> None:
    """Escalate every file of the watch and send the alerts. Only `staff` recognises a list."""
    kind = Deadly if deadly else FileChannel
    channels = {name: kind(home / "received", name, name == "staff") for name in ("staff", "team")}
    with open_ledger(lab.settings) as ledger:
        for file in sorted((home / "watch").glob("marts-*.duckdb")):
            escalate(lab.settings, lab.program, file, now, now, ledger)
        send_alerts(lab.settings, lab.program, ledger, now, channels=channels)


def bear(order: dict) -> int:
    """Fork a child that works; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        now = datetime.fromisoformat(order["now"])
        work(Path(order["home"]), order["url"], order["job"], now)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def watch(children: dict[int, float | None]) -> list[int]:
    """Kill each child at its time and gather the exit codes."""
    start = time.monotonic()
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        for pid, after in children.items():
            if pid in codes:
                continue
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
            elif after is not None and time.monotonic() - start >= after:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    return [codes[pid] for pid in children]


def main() -> None:
    """Read orders until there are none."""
    Lab.at(Path.cwd())
    for line in sys.stdin:
        order = json.loads(line)
        children = {bear(order): after for after in order["after"]}
        print(json.dumps(watch(children)), flush=True)


if __name__ == "__main__":
    main()
