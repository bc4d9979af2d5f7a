"""Who holds a message: a name that tells, on the same machine, whether its process is alive."""

import itertools
import os
from pathlib import Path

_COUNT = itertools.count(1)


def _here() -> str:
    """The running kernel and process namespace; nothing where the system doesn't tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process started, in ticks of its kernel; nothing if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def name_worker() -> str:
    """A new name for a worker of this process."""
    pid = os.getpid()
    return f"{_here() or os.uname().nodename}/{pid}/{_started(pid)}/{next(_COUNT)}"


def is_gone(worker: str) -> bool:
    """Whether the worker's process is certainly over. Of workers elsewhere nothing is known:
    their leases run out."""
    here, pid, started, _ = worker.split("/")
    return bool(started) and here == _here() and _started(int(pid)) != started
