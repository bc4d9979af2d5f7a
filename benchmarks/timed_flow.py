"""The refresh flow in a process of its own, saying how long the library worked within it.

`python -m benchmarks.timed_flow AS_OF`, with PREFECT_API_URL and the settings in the environment.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.pipeline import import_all
from careloop.refresh import Refresh
from careloop.transform.dbt import DbtBuild

WORK = {
    "ingest": (Refresh, "ingest"),
    "prepare": (Refresh, "prepare"),
    "raw gate": (Refresh, "raw_gate"),
    "dbt": (DbtBuild, "_invoke"),
    "marts gate": (Refresh, "marts_gate"),
    "publish": (Refresh, "publish"),
}


def main() -> None:
    """Run the flow; the last line printed has the library's seconds by step."""
    import_all()
    from flows.refresh import refresh

    seconds: dict[str, float] = {}
    for step, (owner, name) in WORK.items():
        setattr(owner, name, _timed(step, getattr(owner, name), seconds))
    state = refresh(as_of=sys.argv[1], return_state=True)
    print(json.dumps(seconds), flush=True)
    if not state.is_completed():
        raise SystemExit(state.message)


def _timed(step: str, work: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            seconds[step] = round(time.perf_counter() - began, 3)

    return timed


if __name__ == "__main__":
    main()
