"""The printed table, the growth from size to size, and the goals."""

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from benchmarks.measure import Figures
from careloop.cli.output import print_table

Results = dict[int, dict[str, Figures]]

ROWS = {
    "read": "(a) reading the needed bytes",
    "script": "(b) the same tables by SQL by hand",
    "polars": "(c) customer table in polars",
    "pandas": "    customer table in pandas",
    "ingest": "(d) ingest, first load",
    "delta": "    ingest, one more day",
    "prepare": "    prepare",
    "raw gate": "    raw gate",
    "dbt": "    dbt",
    "marts gate": "    marts gate",
    "publish": "    publish",
    "refresh": "    from prepare to publish",
    "again": "all steps in one process, nothing new",
    "command": "careloop run, nothing new",
    "flow": "the same flow under Prefect",
    "overhead": "    of it orchestration and start-up",
}
REFRESH = ("prepare", "raw gate", "dbt", "marts gate", "publish")
BY_HAND = ("read", "script", "polars", "pandas")
PEAK_LIMIT_MB = 6144


def derive(steps: dict[str, Figures]) -> None:
    """Add the figures that follow from measured ones."""
    parts = [steps[name] for name in REFRESH if name in steps]
    if len(parts) == len(REFRESH):
        steps["refresh"] = Figures(
            round(sum(part.seconds or 0 for part in parts), 3),
            round(sum(part.cpu or 0 for part in parts), 3),
            max(part.peak_mb or 0 for part in parts),
        )
    if "flow" in steps:
        steps["overhead"] = Figures(steps["flow"].details["overhead"])


def growth(results: Results, step: str) -> list[float | None]:
    """Exponents from each size to the next: 1 is linear, 0 constant."""
    sizes = sorted(results)
    found = []
    for small, large in pairwise(sizes):
        a, b = results[small].get(step), results[large].get(step)
        known = a and b and a.seconds and b.seconds and min(a.seconds, b.seconds) > 0
        found.append(
            round(math.log(b.seconds / a.seconds) / math.log(large / small), 2) if known else None
        )
    return found


def goals(steps: dict[str, Figures]) -> Iterable[tuple[str, str, str, bool]]:
    """(goal, limit, reached, met) for the size ``steps`` are of."""

    def seconds(*names: str) -> float | None:
        values = [steps[name].seconds for name in names if name in steps]
        complete = len(values) == len(names) and None not in values
        return sum(values) if complete else None

    for title, names, base, limit in (
        ("whole refresh", ("refresh",), "script", 2.5),
        ("both gates", ("raw gate", "marts gate"), "script", 0.5),
        ("publish", ("publish",), "script", 0.3),
        ("one more day", ("delta",), "ingest", 0.05),
    ):
        part, whole = seconds(*names), seconds(base)
        if part is not None and whole:
            against = "first load" if base == "ingest" else "(b)"
            ratio = part / whole
            yield title, f"≤ {limit:g} × {against}", f"{ratio:.2f}", ratio <= limit
    cpu = [steps[name].cpu for name in ("refresh", "script") if name in steps]
    if len(cpu) == 2 and all(cpu):
        ratio = cpu[0] / cpu[1]
        yield "whole refresh, CPU seconds", "≤ 2.5 × (b)", f"{ratio:.2f}", ratio <= 2.5
    peaks = {n: f.peak_mb for n, f in steps.items() if f.peak_mb and n not in BY_HAND}
    if peaks:
        most = max(peaks, key=lambda name: peaks[name])
        reached = f"{peaks[most] / 1024:.1f} GB ({most})"
        yield "memory of every step", "≤ 6 GB", reached, peaks[most] <= PEAK_LIMIT_MB
    overhead = seconds("overhead")
    if overhead is not None:
        yield "orchestration and start-up", "≤ 15 s", f"{overhead:.1f} s", overhead <= 15


def print_report(results: Results) -> None:
    """The table of every size, then the goals at the largest."""
    sizes = sorted(results)
    largest = results[sizes[-1]]
    base = largest.get("script")
    rows = []
    for step, title in ROWS.items():
        if not any(step in results[size] for size in sizes):
            continue
        cells: list[Any] = [title]
        cells += [_seconds(results[size].get(step)) for size in sizes]
        last = largest.get(step)
        comparable = base and base.seconds and last and last.seconds is not None
        cells.append(f"{last.seconds / base.seconds:.2f}" if comparable else "–")
        cells.append(f"{last.peak_mb:,.0f}" if last and last.peak_mb else "–")
        cells += [f"{e:.2f}" if e is not None else "–" for e in growth(results, step)]
        rows.append(cells)
    head = ["step"] + [f"{_short(size)} s" for size in sizes] + ["× (b)", "peak MB"]
    head += [f"{_short(a)}–{_short(b)}" for a, b in pairwise(sizes)]
    print_table(head, rows, title="Seconds, ratio to (b) and memory at the largest, growth")
    reached = [list(row) for row in goals(largest)]
    if reached:
        title = f"At {sizes[-1]:,} customers"
        print_table(["goal", "limit", "reached", "met"], reached, title=title)
    for step in ("dbt", "raw gate", "marts gate"):
        if step in largest and largest[step].details.get("slowest"):
            slow = list(largest[step].details["slowest"].items())
            print_table([f"slowest of {step}", "seconds"], slow)


def _seconds(figures: Figures | None) -> str:
    if figures is None:
        return "–"
    return f"{figures.seconds:.2f}" if figures.seconds is not None else figures.note


def _short(size: int) -> str:
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size)
