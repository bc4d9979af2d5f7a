"""Every measured step by name; each gets a company and returns its figures."""

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks import clocks, decisions, pipeline, tables
from benchmarks.company import Company

STEPS: dict[str, Callable[[Company], dict[str, Any]]] = {
    "read": tables.read,
    "script": tables.script,
    "polars": partial(tables.frames, library="polars"),
    "pandas": partial(tables.frames, library="pandas"),
    "ingest": pipeline.ingest,
    "prepare": pipeline.prepare,
    "start": pipeline.start,
    "raw gate": pipeline.raw_gate,
    "dbt": pipeline.dbt,
    "marts gate": pipeline.marts_gate,
    "publish": pipeline.publish,
    "again": pipeline.again,
    "command": pipeline.command,
    "flow": pipeline.flow,
    "delta": pipeline.delta,
}

# Steps of `python -m benchmarks.decisions`.
CARE: dict[str, Callable[[Company], dict[str, Any]]] = {
    "care warehouse": decisions.warehouse,
    "care models": decisions.models,
    "care script": decisions.by_hand,
}

# Steps of `python -m benchmarks.clocks`.
CLOCKS: dict[str, Callable[[Company], dict[str, Any]]] = {
    "clock warehouse": clocks.warehouse,
    "clock models": clocks.models,
    "clock script": clocks.by_hand,
}
