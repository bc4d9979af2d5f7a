"""Checking the declared expectations without data: against the contract and the models."""

from pathlib import Path

import duckdb

from careloop.contract import entities
from careloop.quality.declared import GATES, Declared, declared
from careloop.quality.gate import check_against
from careloop.quality.parameters import filled, parameters

_RUN = """
create schema raw; create schema run; create schema program;
create table run.context as select 'check' as run_id, timestamp '2026-01-01' as as_of_local,
    timestamp '2026-01-01' as as_of_utc, date '2026-01-01' as as_of_date;
create table run.batches (batch_seq integer, batch_id varchar, entity varchar, source varchar,
    file varchar, loaded_at timestamp, rows_read bigint, rows_loaded bigint,
    rows_rejected bigint, rows_held bigint, rows_outdated bigint, rows_replaced bigint,
    run_id varchar, min_event_at timestamp, max_event_at timestamp);
create table run.previous_volumes (entity varchar, rows bigint, as_of timestamp);
create table program.exchange_rates as select 'CNY' as currency, 1.0::double as rate;
create table program.segments as select 1 as position, 'core' as segment;
create table program.stages as select 1 as position, 'new' as stage;
"""


def check(gate: str, folder: Path | None = None, models: Path | None = None) -> list[Declared]:
    """Every expectation of ``gate``, read, compiled to Great Expectations and checked against
    the columns of the contract or, where ``models`` (a dbt models folder) describes them, of
    the marts. Raises ExpectationError."""
    con = duckdb.connect()
    try:
        con.execute(_RUN)
        for entity in entities().values():
            columns = ", ".join(f'"{c.name}" {c.sql_type}' for c in entity.columns.values())
            con.execute(
                f"create table raw.{entity.name} ({columns}, _source varchar, _batch integer)"
            )
        expectations = [filled(e, parameters(con, gate)) for e in declared(gate, folder)]
        if gate == "marts":
            _create_marts(con, models)
        check_against(con, expectations)
    finally:
        con.close()
    from careloop.quality.engine import compiled

    for expectation in expectations:
        compiled(expectation)
    return expectations


def check_all(folder: Path | None = None, models: Path | None = None) -> dict[str, list[Declared]]:
    """``check`` of both gates, by gate."""
    return {gate: check(gate, folder, models) for gate in GATES}


def _create_marts(con: duckdb.DuckDBPyConnection, models: Path | None) -> None:
    """Empty marts with the columns their dbt contracts state."""
    import yaml

    for file in sorted((models or Path()).glob("marts/**/*.yml")):
        for model in yaml.safe_load(file.read_text("utf-8")).get("models") or []:
            columns = ", ".join(
                f'"{c["name"]}" {c.get("data_type") or "varchar"}' for c in model["columns"]
            )
            con.execute(f'create table main."{model["name"]}" ({columns})')
