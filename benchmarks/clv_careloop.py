"""careloop's own models of lifetime value, on a Parquet file of orders."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from careloop.lake.batches import Lake
from careloop.program import load_program
from careloop.run_info import run_info
from careloop.settings import PROJECT_ROOT, load_settings
from careloop.transform.dbt import invoke
from careloop.transform.prepare import prepare_warehouse

PACK = "retail_care"
HISTORIES = ("int_value_period", "int_purchase_histories", "int_purchase_regularity")
SCORING = ("int_value_fit", "int_value_model", "int_value_factors", "int_customer_value")


def run(folder: Path) -> dict[str, Any]:
    """Build the models on ``folder/orders.parquet``; leaves ``histories.parquet`` beside it.

    seconds: of fit, check and scoring; cpu: the same, of all threads; parts: of every model.
    """
    settings = load_settings(home=folder / "home", program=PACK)
    program = load_program(PACK, PROJECT_ROOT / "programs")
    day = datetime.fromisoformat((folder / "as_of").read_text())
    info = run_info(Lake(settings.lake), program, day.replace(tzinfo=ZoneInfo(program.zone)))
    prepare_warehouse(settings, info)
    _give_orders(settings.warehouse, folder / "orders.parquet")
    clock = _Clock()
    done = invoke(settings, ["run", "--select", "+int_customer_value"], callback=clock)
    if not done.success:
        raise RuntimeError(f"dbt failed: {done.exception or done.result}")
    seconds = {r.node.name: round(r.execution_time, 3) for r in done.result.results}
    with duckdb.connect(str(settings.warehouse), read_only=True) as con:
        con.execute(f"copy intermediate.int_purchase_histories to '{folder / 'histories.parquet'}'")
        answer = con.execute(
            "select r, alpha, a, b, customers, status, holdout_error, holdout_correlation "
            "from intermediate.int_value_fit"
        )
        names = [column[0] for column in answer.description]
        fit = dict(zip(names, answer.fetchall()[0], strict=True))
    return {
        "seconds": round(sum(seconds[name] for name in SCORING), 3),
        "cpu": round(sum(clock.cpu[name] for name in SCORING), 3),
        "parts": {name: seconds[name] for name in (*HISTORIES, *SCORING)},
        **fit,
    }


class _Clock:
    """CPU seconds of each dbt node; they run one after another."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}

    def __call__(self, event: Any) -> None:
        if event.info.name == "NodeStart":
            self.cpu[event.data.node_info.node_name] = -time.process_time()
        elif event.info.name == "NodeFinished":
            self.cpu[event.data.node_info.node_name] += time.process_time()


def _give_orders(warehouse: Path, orders: Path) -> None:
    with duckdb.connect(str(warehouse)) as con:
        columns = con.execute("from raw.orders limit 0").description
        given = {"customer_id", "ordered_at", "amount"}
        # The orders' zone is the program's, as if they had come through a mapping.
        cells = [
            f'"{name}"' if name in given else f'null::{kind} as "{name}"'
            for name, kind, *_ in columns
        ]
        con.execute("drop view if exists raw.orders")
        con.execute(
            f"create view raw.orders as select {', '.join(cells)} from ("
            "select * replace (ordered_at - interval 8 hour as ordered_at) "
            f"from read_parquet('{orders}'))"
        )
