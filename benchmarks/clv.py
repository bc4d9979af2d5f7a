"""`python -m benchmarks.clv`: lifetime value against the PyPI packages lifetimes, pymc-marketing.

Each measurement runs in a process of its own. The packages live in environments of their own:

    python3 -m venv lt && lt/bin/pip install lifetimes 'pandas<2' 'numpy<2' pyarrow
    python3 -m venv pm && pm/bin/pip install pymc-marketing pyarrow
    python -m benchmarks.clv --cdnow ../shared/data/cdnow_sample.txt \\
        --lifetimes-python lt/bin/python --pymc-python pm/bin/python

The orders are CDNOW's and those of simulated customers, in Parquet. careloop starts from the
orders: histories, fit, fit up to the holdout with its check, scores of all customers in a table,
as its dbt models. The packages start from careloop's histories, one row per customer, and fit
and score once (pymc-marketing by MAP), without a holdout: less work than careloop's.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import clv_careloop, clv_orders
from benchmarks.measure import ROOT, peak_mb
from careloop.cli.output import print_table

RESULTS = Path(__file__).parent / "results"
PEERS = Path(__file__).parent / "clv_peers.py"


def main() -> None:
    """Measure, print, and write ``benchmarks/results/clv.json``."""
    options = _options()
    if options.child:
        print(json.dumps({**clv_careloop.run(options.child), "peak_mb": peak_mb()}))
        return
    sizes: dict[str, Path] = {}
    if options.cdnow:
        sizes["CDNOW"] = options.data / "cdnow"
        clv_orders.cdnow(options.cdnow, sizes["CDNOW"])
    for customers in options.customers:
        folder = sizes[f"{customers:,}"] = options.data / str(customers)
        clv_orders.simulated(customers, folder)
    results = {name: _measure(folder, options) for name, folder in sizes.items()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "clv.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    if not options.keep:
        shutil.rmtree(options.data)
    _print(results)


def _measure(folder: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Figures by program: seconds, cpu, peak_mb, parameters; careloop's with seconds by part.

    CPU seconds are of all threads and hold on a busy machine too."""
    ours = [sys.executable, "-m", "benchmarks.clv", "--child", str(folder)]
    found = {"careloop": _run(ours, None)}
    for name, python, most in (
        ("lifetimes", options.lifetimes_python, options.lifetimes_most),
        ("pymc-marketing", options.pymc_python, options.pymc_most),
    ):
        customers = found["careloop"]["customers"]
        if python and customers <= most:
            command = [python, str(PEERS), name, str(folder / "histories.parquet")]
            found[name] = _run(command, options.limit)
    for name, figures in found.items():
        print(folder.name, name, figures, file=sys.stderr, flush=True)
    return found


def _run(command: list[str], limit: float | None) -> dict[str, Any]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    env = {**os.environ, "PYTHONPATH": path if limit is None else ""}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, env=env, cwd=ROOT, text=True, timeout=limit, check=True
        )
    except subprocess.TimeoutExpired:
        return {"note": f"not done in {limit:,.0f} s"}
    except subprocess.CalledProcessError as error:
        if limit is None:
            raise
        return {"note": f"ended with code {error.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def _print(results: dict[str, dict[str, dict[str, Any]]]) -> None:
    rows = []
    for size, found in results.items():
        base = found["careloop"]["cpu"]
        for name, figures in found.items():
            if "note" in figures:
                rows.append([size, name, figures["note"], *[""] * 4])
                continue
            values = (f"{figures[k]:.4f}" for k in ("r", "alpha", "a", "b") if figures.get(k))
            wall, cpu, peak = (figures[key] for key in ("seconds", "cpu", "peak_mb"))
            cells = [f"{wall:.2f}", f"{cpu:.2f}", f"{cpu / base:.1f}", f"{peak:,.0f}"]
            rows.append([size, name, *cells, " ".join(values)])
    head = ["customers", "program", "s", "CPU s", "× careloop's CPU", "peak MB", "r alpha a b"]
    print_table(head, rows, title="Customer lifetime value")
    parts = [[size, *found["careloop"]["parts"].values()] for size, found in results.items()]
    names = list(next(iter(results.values()))["careloop"]["parts"])
    print_table(["customers", *names], parts, title="careloop's models, seconds")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.clv",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    sizes = [10_000, 100_000, 1_000_000]
    add("--customers", type=int, nargs="*", default=sizes, help="simulated sizes")
    add("--cdnow", type=Path, help="cdnow_sample.txt; without it CDNOW is left out")
    add("--lifetimes-python", help="Python that has lifetimes")
    add("--pymc-python", help="Python that has pymc-marketing")
    add("--lifetimes-most", type=int, default=100_000, help="most customers lifetimes gets")
    add("--pymc-most", type=int, default=100_000, help="most customers pymc-marketing gets")
    add("--limit", type=float, default=600.0, help="seconds a package may take")
    add("--data", type=Path, default=Path("data/benchmarks/clv"), help="where orders are written")
    add("--keep", action="store_true", help="leave them")
    add("--child", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
