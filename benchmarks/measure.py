"""Runs one step in a process of its own and says how long it took and what memory it needed."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.company import Company

GB = 1 << 30
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Figures:
    """seconds: wall, median of the repetitions; cpu: of all threads; peak_mb: of the process."""

    seconds: float | None
    cpu: float | None = None
    peak_mb: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    note: str = ""


class Timer:
    """Wall and CPU seconds of a ``with`` block."""

    def __enter__(self) -> "Timer":
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = round(time.perf_counter() - self._wall, 3)
        self.cpu = round(time.process_time() - self._cpu, 3)


def in_child(step: str, company: Company, memory_gb: float | None = None) -> Figures:
    """Run ``step`` of ``benchmarks.steps`` once in a fresh process."""
    order = {
        "step": step,
        "root": str(company.root),
        "customers": company.customers,
        "home": str(company.home),
        "memory_gb": memory_gb,
    }
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", json.dumps(order)],
        stdout=subprocess.PIPE,
        env=env,
        cwd=ROOT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"step {step} at {company.customers:,} customers failed")
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def repeated(step: Callable[[], Figures], times: int) -> Figures:
    """The run of median duration out of ``times``, with the highest peak of all."""
    runs = [step() for _ in range(times)]
    timed = [run for run in runs if run.seconds is not None]
    if not timed:
        return runs[0]
    middle = median([run.seconds for run in timed])
    chosen = min(timed, key=lambda run: abs(run.seconds - middle))
    chosen.peak_mb = max(run.peak_mb or 0 for run in timed)
    return chosen


def peak_mb() -> float:
    """Highest resident memory of this process so far; of its own, not of the one it was forked
    from, which getrusage would count."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _child(order: dict[str, Any]) -> dict[str, Any]:
    from benchmarks.steps import CARE, CLOCKS, STEPS

    company = Company(Path(order["root"]), order["customers"], Path(order["home"]))
    limit = order["memory_gb"]
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit * GB), int(limit * GB)))
    try:
        figures = ({**STEPS, **CARE, **CLOCKS})[order["step"]](company)
    except MemoryError:
        return {"seconds": None, "note": f"needs more than {limit:g} GB"}
    return {"peak_mb": peak_mb(), **figures}


if __name__ == "__main__":
    output = os.dup(1)
    os.dup2(2, 1)  # what the steps print does not belong to the answer
    answer = json.dumps(_child(json.loads(sys.argv[1])), default=str)
    os.write(output, answer.encode() + b"\n")
    os._exit(0)
