"""`python -m benchmarks`: measure everything at each size, print it, keep it as JSON."""

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from benchmarks.company import Company
from benchmarks.measure import Figures, Timer, in_child, repeated
from benchmarks.report import REFRESH, Results, derive, goals, growth, print_report
from benchmarks.same import check_same
from benchmarks.steps import STEPS

RESULTS = Path(__file__).parent / "results"
PANDAS_GB = 10.0
# One after another these are one run; each needs what the earlier ones leave behind.
RUN = list(REFRESH)
REPEAT_UP_TO = 100_000


def main() -> None:
    """Measure, print, and write ``benchmarks/results/<time>.json``."""
    options = _options()
    results: Results = {}
    for customers in options.customers:
        results[customers] = _measure(Company.under(options.data, customers), options)
        if not options.keep:
            shutil.rmtree(options.data / str(customers))
    machine = {"cores": os.cpu_count(), "python": sys.version.split()[0]}
    document = {
        "machine": machine,
        "steps": {n: {s: asdict(f) for s, f in steps.items()} for n, steps in results.items()},
        "growth": {step: growth(results, step) for step in STEPS},
        "goals": [list(row) for row in goals(results[max(results)])],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json").write_text(text + "\n", "utf-8")
    if options.json:
        print(text)
    else:
        print_report(results)


def _measure(company: Company, options: argparse.Namespace) -> dict[str, Figures]:
    times = options.repeat or (3 if company.customers <= REPEAT_UP_TO else 1)
    wanted = options.only or list(STEPS)
    _tell(f"{company.customers:,} customers: making the CRM")
    with Timer() as timer:
        company.make()
    _tell(f"  {timer.seconds:.1f} s")
    steps: dict[str, Figures] = {}

    def step(name: str, repeat: int = times) -> None:
        limit = PANDAS_GB if name == "pandas" else None
        steps[name] = repeated(lambda: in_child(name, company, limit), repeat)
        figures = steps[name]
        took = figures.note if figures.seconds is None else f"{figures.seconds:.2f} s"
        _tell(f"  {name}: {took}, {figures.peak_mb or 0:,.0f} MB (load {os.getloadavg()[0]:.1f})")

    if "ingest" in wanted or not company.lake.exists():
        step("ingest")
    for name in ("read", "script", "polars", "pandas"):
        if name in wanted:
            step(name)
    if set(wanted) & {*RUN, "start", "again", "command", "flow"}:
        # The first run of an installation parses the whole dbt project; nights do not.
        in_child("prepare", company)
        step("start", 1)
        runs = [_one_run(company) for _ in range(times)]
        for name in RUN:
            ready = iter([run[name] for run in runs])
            steps[name] = repeated(lambda ready=ready: next(ready), times)
            _tell(f"  {name}: {steps[name].seconds:.2f} s, {steps[name].peak_mb:,.0f} MB")
    compared = check_same(company)
    _tell(f"  the same values: dbt, {', '.join(compared) or 'nothing else'}")
    for name in ("again", "command", "flow", "delta"):
        if name in wanted:
            step(name, options.repeat or 1)
    derive(steps)
    return steps


def _one_run(company: Company) -> dict[str, Figures]:
    return {name: in_child(name, company) for name in RUN}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--customers",
        type=lambda text: [int(part) for part in text.split(",")],
        default=[10_000, 100_000, 1_000_000],
        help="sizes, e.g. 10000,100000",
    )
    parser.add_argument(
        "--only",
        type=lambda text: [part.strip() for part in text.split(",")],
        help=f"steps to measure: {', '.join(STEPS)}",
    )
    parser.add_argument("--repeat", type=int, help="runs of each step; the median counts")
    parser.add_argument("--data", type=Path, default=Path("data/benchmarks"), help="working folder")
    parser.add_argument("--keep", action="store_true", help="leave the data for the next time")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if unknown := set(options.only or []) - set(STEPS):
        parser.error(f"unknown steps: {', '.join(sorted(unknown))}; known: {', '.join(STEPS)}")
    return options


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
