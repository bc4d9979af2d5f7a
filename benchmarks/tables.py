"""What careloop is measured against: reading the bytes, and the same tables without it."""

import importlib
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.company import AS_OF_UTC, Company
from benchmarks.measure import Timer
from careloop.warehouse import cores

# The columns of the lake that the customer table of polars and pandas needs.
NEEDED = {
    "customers": "customer_id, customer_type, region, industry, sex, locale, source_channel, "
    "service_package, account_manager_id, is_strategic, registered_at, cooperation_start_on, "
    "member_since, member_tier, updated_at, _source, _batch",
    "orders": "customer_id, ordered_at, status, amount, currency, paid_at, shipped_at, "
    "promised_at, delivered_at, cancelled_at",
    "interactions": "customer_id, occurred_at, kind",
    "tickets": "customer_id, opened_at, kind, resolved_at, closed_at",
    "surveys": "customer_id, kind, scale_min, scale_max, score, asked_at, answered_at",
    "consents": "customer_id, purpose, channel, changed_at, granted",
}


def read(company: Company) -> dict[str, Any]:
    """Decode every value of the needed columns once: one hash over them."""
    con = _connect(company, None)
    with Timer() as timer:
        for entity, columns in NEEDED.items():
            files = f"{company.lake}/{entity}/*/rows.parquet"
            con.execute(f"select bit_xor(hash({columns})) from read_parquet('{files}')").fetchall()
    return {"seconds": timer.seconds, "cpu": timer.cpu}


def script(company: Company) -> dict[str, Any]:
    """Every mart of ``same.MARTS`` by hand: SQL files in order on one connection."""
    from benchmarks.script import write_marts

    file = company.root / "script.duckdb"
    file.unlink(missing_ok=True)
    con = _connect(company, file)
    con.execute(f"set variable lake = '{company.lake}'")
    con.execute(f"set variable as_of = timestamp '{AS_OF_UTC}'")
    con.execute("set preserve_insertion_order = false")
    with Timer() as timer:
        parts = write_marts(con)
        con.execute("checkpoint")
    con.close()
    return {"seconds": timer.seconds, "cpu": timer.cpu, "details": parts}


def frames(company: Company, library: str) -> dict[str, Any]:
    """The customer table by ``polars`` or ``pandas``, written as Parquet."""
    module = importlib.import_module(f"benchmarks.with_{library}")
    with Timer() as timer:
        module.customers(company.lake, AS_OF_UTC, company.root / f"{library}.parquet")
    return {"seconds": timer.seconds, "cpu": timer.cpu}


def _connect(company: Company, file: Path | None) -> duckdb.DuckDBPyConnection:
    """DuckDB with the settings careloop gives it."""
    return duckdb.connect(
        str(file or ":memory:"),
        config={
            "threads": cores(),
            "memory_limit": company.settings.memory_limit,
            "temp_directory": str(company.root / "tmp"),
        },
    )
