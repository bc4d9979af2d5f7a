"""careloop itself, step by step: as a library, on the command line, and as a Prefect flow."""

import json
import os
import pickle
import resource
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.company import AS_OF, NEXT_DAY, SEED, Company
from benchmarks.measure import Timer, peak_mb
from careloop.clock import parse_as_of
from careloop.lake.batches import Lake
from careloop.prefect_stack import Stack
from careloop.refresh import Refresh, program_of
from careloop.run_info import run_info
from careloop.sample import make_delta

SLOWEST = 12


def _quiet(_message: str) -> None:
    """Progress that nobody reads."""


def refresh_of(company: Company, *, day: str = AS_OF.isoformat()) -> Refresh:
    program = program_of(company.settings)
    return Refresh(company.settings, program, parse_as_of(day, program.zone))


def _prepared(company: Company) -> Refresh:
    """As if this process had prepared the warehouse that an earlier one has prepared."""
    refresh = refresh_of(company)
    refresh.run = run_info(Lake(company.settings.lake), refresh.program, refresh.as_of)
    return refresh


def import_all() -> None:
    """Imports are measured apart, as start-up."""
    import dbt.adapters.duckdb.connections
    import dbt.cli.main  # noqa: F401

    import careloop.quality.engine
    import careloop.quality.gate
    import careloop.quality.report  # noqa: F401


def ingest(company: Company) -> dict[str, Any]:
    """The first load, into an empty home."""
    shutil.rmtree(company.home, ignore_errors=True)
    refresh = refresh_of(company)
    with Timer() as timer:
        loaded = refresh.ingest(_quiet)
    loaded.raise_if_refused()
    rows = sum(batch.rows_loaded for batch in loaded.loaded)
    return _answer(timer, {"rows": rows})


def delta(company: Company) -> dict[str, Any]:
    """The files of one more day, into a copy of the loaded lake."""
    home = company.root / "home-delta"
    shutil.rmtree(home, ignore_errors=True)
    # Batches never change, so links will do for a copy.
    shutil.copytree(company.lake, home / "lake", copy_function=os.link)
    made = make_delta(company.crm, company.customers, SEED, AS_OF)
    refresh = refresh_of(replace(company, home=home), day=NEXT_DAY.isoformat())
    try:
        with Timer() as timer:
            loaded = refresh.ingest(_quiet)
    finally:
        for file in made:
            (company.crm / file.file).unlink()
    loaded.raise_if_refused()
    rows = sum(batch.rows_loaded for batch in loaded.loaded)
    return _answer(timer, {"rows": rows, "already_loaded": loaded.skipped})


def prepare(company: Company) -> dict[str, Any]:
    refresh = refresh_of(company)
    with Timer() as timer:
        refresh.prepare()
    return _answer(timer)


def raw_gate(company: Company) -> dict[str, Any]:
    return _gate(company, _prepared(company).raw_gate)


def marts_gate(company: Company) -> dict[str, Any]:
    return _gate(company, _prepared(company).marts_gate)


def _gate(company: Company, step: Callable[[Any], Any]) -> dict[str, Any]:
    import_all()
    with Timer() as timer:
        result = step(_quiet)
    result.raise_if_critical()
    (company.root / f"{result.gate}.pickle").write_bytes(pickle.dumps(result))
    return _answer(timer, {"slowest": _slowest(result.seconds)})


def dbt(company: Company) -> dict[str, Any]:
    import_all()
    build = _prepared(company).build()
    with Timer() as timer:
        build.run()
    build.raise_if_failed()
    seconds = {f"{node.kind} {node.name}": node.seconds for node in build.nodes}
    tests = sum(node.seconds for node in build.nodes if node.kind == "test")
    details = {
        "nodes": len(build.nodes),
        "models": round(sum(seconds.values()) - tests, 2),
        "tests": round(tests, 2),
        "slowest": _slowest(seconds),
    }
    return _answer(timer, details)


def publish(company: Company) -> dict[str, Any]:
    import_all()
    refresh = _prepared(company)
    for gate in ("raw", "marts"):
        refresh.gates.append(pickle.loads((company.root / f"{gate}.pickle").read_bytes()))
    size = company.settings.marts.stat().st_size
    with Timer() as timer:
        refresh.publish()
    return _answer(timer, {"marts_mb": size >> 20})


def again(company: Company) -> dict[str, Any]:
    """Every step in one process, on a lake that is loaded: what the flow does too."""
    import_all()
    refresh = refresh_of(company)
    steps: dict[str, Callable[[], Any]] = {
        "ingest": lambda: refresh.ingest(_quiet),
        "prepare": refresh.prepare,
        "raw gate": lambda: refresh.raw_gate(_quiet).raise_if_critical(),
        "dbt": lambda: refresh.build().run().raise_if_failed(),
        "marts gate": lambda: refresh.marts_gate(_quiet).raise_if_critical(),
        "publish": refresh.publish,
    }
    seconds = {}
    with Timer() as timer:
        for name, step in steps.items():
            with Timer() as one:
                step()
            seconds[name] = one.seconds
    return _answer(timer, {"steps": seconds})


def command(company: Company) -> dict[str, Any]:
    """`careloop run` as a person starts it, with Python's start and every import."""
    started = time.perf_counter()
    subprocess.run(_command_line(company), check=True, stdout=subprocess.PIPE)
    seconds = round(time.perf_counter() - started, 3)
    return {"seconds": seconds, "peak_mb": _children_peak_mb()}


def _command_line(company: Company) -> list[str]:
    sources = [part for source in company.sources for part in ("--source", str(source))]
    options = ["--program", "retail_care", "--as-of", AS_OF.isoformat(), "--json"]
    home = ["--home", str(company.home)]
    return [sys.executable, "-m", "careloop", "run", *home, *sources, *options]


def flow(company: Company) -> dict[str, Any]:
    """The flow in a process of its own under a running server, as a worker would start it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Stack(company.settings, program_of(company.settings), port) as stack:
        began = time.perf_counter()
        stack.start_server()
        server = round(time.perf_counter() - began, 2)
        with Timer() as timer:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.timed_flow", AS_OF.isoformat()],
                env=stack.env,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            )
        run = _last_run(stack.api_url)
        peak = _children_peak_mb()
    steps = json.loads(done.stdout.splitlines()[-1])
    details = {
        "server_start": server,
        "in_flow": round(run["total_run_time"], 2),
        "steps": steps,
        "overhead": round(timer.seconds - sum(steps.values()), 2),
    }
    return {"seconds": timer.seconds, "peak_mb": peak, "details": details}


def _last_run(api_url: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{api_url}/flow_runs/filter",
        data=json.dumps({"sort": "START_TIME_DESC", "limit": 1}).encode(),
        headers={"content-type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())[0]


def start(company: Company) -> dict[str, Any]:
    """What a run pays before it does anything: Python, imports, dbt's parse."""
    parts = {}
    for name, code in {
        "python": "pass",
        "careloop": "import careloop.cli.main",
        "dbt": "import dbt.cli.main, dbt.adapters.duckdb.connections",
        "great expectations": "import careloop.quality.engine",
        "prefect": "import prefect, prefect.artifacts",
        "all of them": "import careloop.cli.main, dbt.cli.main, dbt.adapters.duckdb.connections, "
        "careloop.quality.engine, prefect, prefect.artifacts",
    }.items():
        began = time.perf_counter()
        code = f"{code}\nimport os; os._exit(0)"
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
        parts[name] = round(time.perf_counter() - began, 2)
    import_all()
    from careloop.transform.dbt import invoke

    shutil.rmtree(company.settings.build / "target", ignore_errors=True)
    for name in ("first parse", "later parse"):
        with Timer() as timer:
            invoke(company.settings, ["parse"])
        parts[name] = timer.seconds
    seconds = round(parts["all of them"] + parts["later parse"], 2)
    return {"seconds": seconds, "peak_mb": peak_mb(), "details": parts}


def _children_peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1)


def _slowest(seconds: dict[str, float]) -> dict[str, float]:
    ranked = sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]
    return {name: round(value, 2) for name, value in ranked}


def _answer(timer: Timer, details: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"seconds": timer.seconds, "cpu": timer.cpu, "details": details or {}}
