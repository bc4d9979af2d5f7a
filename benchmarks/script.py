"""What a person would write by hand: SQL files in order, and the fits SQL cannot do in between."""

import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

from careloop.statistics import likelihood_table
from careloop.value import ValueRules, factor_rows, fit_row, fit_value

HERE = Path(__file__).parent / "script"
# The pack's numbers, as everywhere in the script.
RULES = ValueRules(
    horizon_months=12,
    time_unit="week",
    churn_horizon_days=90,
    yearly_discount_rate=0.1,
    min_repeat_customers=200,
    max_total_error=0.3,
    min_correlation=0.3,
    fallback="history",
    min_repeat_share=0.01,
    min_interval_variation=0.3,
    min_sampled_customers=50,
)


def write_marts(con: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """All tables of the script into the database of ``con``, whose variables are set; returns
    the seconds of each part."""
    parts: dict[str, Callable[[duckdb.DuckDBPyConnection], None] | None] = {
        "1_orders": None,
        "2_histories": None,
        "fit": _fit,
        "3_value": None,
        "4_contacts": None,
        "5_products": None,
        "6_points": None,
        "7_profile": None,
        "8_changes_of_habit": None,
        "likelihoods": _likelihoods,
        "9_alerts": None,
        "10_customers": None,
    }
    seconds = {}
    for name, step in parts.items():
        began = time.perf_counter()
        if step:
            step(con)
        else:
            con.execute((HERE / f"{name}.sql").read_text("utf-8"))
        seconds[name] = round(time.perf_counter() - began, 2)
    return seconds


def _fit(con: duckdb.DuckDBPyConnection) -> None:
    """Tables ``model`` (one row) and ``factors``."""
    today, until = con.execute(
        "select getvariable('today'), getvariable('calibrated_until')"
    ).fetchall()[0]
    sampled, variation = con.execute("from regularity").fetchall()[0]
    histories = con.table("histories")
    held = (today - until).days - 1
    fit = fit_row(fit_value(histories, RULES, held, sampled, variation), RULES).to_pylist()[0]
    accepted = fit["status"] == "accepted"
    parameters = {name: fit[name] for name in ("r", "alpha", "a", "b")} if accepted else None
    if accepted:
        method, note = "model", f"model of {today}"
    elif fit["fallback"] == "history":
        method = "history"
        note = f"spend of the last 365 days, scaled to 12 months, because {fit['reasons']}"
    else:
        method, note = None, f"unknown, because {fit['reasons']}"
    row = {
        name: fit[name] if accepted else None for name in ("r", "alpha", "a", "b", "p", "q", "v")
    }
    _table(
        con,
        "model",
        pa.table(
            {name: pa.array([value], pa.float64()) for name, value in row.items()}
            | {"method": pa.array([method], pa.string()), "note": pa.array([note], pa.string())}
        ),
    )
    run = "'value ' || getvariable('as_of')" if accepted else "null::varchar"
    con.execute(f"alter table model add column run varchar; update model set run = {run}")
    _table(con, "factors", factor_rows(histories, parameters, RULES))


def _likelihoods(con: duckdb.DuckDBPyConnection) -> None:
    _table(con, "likelihoods", likelihood_table(con.table("candidates"), 0.9))


def _table(con: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    con.register("rows_of_python", rows)
    con.execute(f"create temp table {name} as from rows_of_python")
    con.unregister("rows_of_python")
