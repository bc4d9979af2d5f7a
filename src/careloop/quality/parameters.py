"""Values of the run that expectations may refer to, read from the warehouse once per gate."""

import re
from datetime import datetime
from typing import Any

import duckdb

from careloop.contract import entities
from careloop.errors import GateError
from careloop.quality.declared import Declared, mistake

_QUERIES = {
    "as_of_utc": "select as_of_utc from run.context",
    "run_id": "select run_id from run.context",
    # Whatever day is replayed, an event can't be later than the day it was loaded; a day of
    # slack covers zones.
    "latest_possible": "select greatest((select as_of_utc from run.context), "
    "coalesce((select max(loaded_at) from run.batches), timestamp '1970-01-01')) "
    "+ interval 1 day",
}
_LISTS = {
    "currencies": "select currency from program.exchange_rates order by currency",
    "segments": "select segment from program.segments order by position",
    "stages": "select stage from program.stages order by position",
}
_MARTS = {
    # Those recorded by as_of, and those recorded later who had done something before it.
    "customers": """
        with customers as (
            select customer_id, coalesce(registered_at <= as_of_utc, true) as is_recorded, as_of_utc
            from raw.customers cross join run.context
        ), early as (
            select customer_id, ordered_at as at_ from raw.orders
            union all select customer_id, occurred_at from raw.interactions
            union all select customer_id, opened_at from raw.tickets
        )
        select (select count(*) from customers where is_recorded) + (
            select count(distinct customers.customer_id) from customers
            join early on early.customer_id = customers.customer_id and at_ <= as_of_utc
            where not is_recorded
        )
    """,
}
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?$")
_NAMED = re.compile(r"(?<![:\w]):([a-z_]+)\b")


def personal_columns() -> list[str]:
    """Names of columns that hold personal data in any entity of the contract."""
    return sorted({c.name for e in entities().values() for c in e.columns.values() if c.personal})


def parameters(con: duckdb.DuckDBPyConnection, gate: str) -> dict[str, Any]:
    """Every parameter of ``gate`` by name; raises GateError when the warehouse lacks a table."""
    values: dict[str, Any] = {"personal_columns": personal_columns()}
    singles = {**_QUERIES, **(_MARTS if gate == "marts" else {})}
    try:
        for name, query in singles.items():
            rows = con.execute(query).fetchall()
            if len(rows) != 1:
                raise GateError(f"run.context has {len(rows)} rows instead of one", "run again")
            values[name] = rows[0][0]
        for name, query in _LISTS.items():
            values[name] = [row[0] for row in con.execute(query).fetchall()]
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise GateError(
            f"the {gate} gate cannot read what it needs from the warehouse: {reason}",
            "run `careloop run` again: it rebuilds the warehouse",
        ) from error
    return values


def filled(expectation: Declared, values: dict[str, Any]) -> Declared:
    """``expectation`` with parameters and dates in place; raises ExpectationError."""
    return expectation.with_kwargs(
        {name: _value(expectation, name, v, values) for name, v in expectation.kwargs.items()}
    )


def _value(expectation: Declared, name: str, value: Any, values: dict[str, Any]) -> Any:
    where = f"{expectation.where}.kwargs.{name}"
    if isinstance(value, dict) and set(value) == {"$PARAMETER"}:
        parameter = value["$PARAMETER"]
        if parameter not in values:
            raise mistake(where, parameter, "is not a parameter", values)
        return values[parameter]
    if name in ("min_value", "max_value") and isinstance(value, str) and _DATE.match(value):
        # DuckDB does not compare a timestamp with text.
        return datetime.fromisoformat(value)
    if name == "unexpected_rows_query":
        return _query(where, str(value), values)
    return value


def _query(where: str, query: str, values: dict[str, Any]) -> str:
    def sql(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise mistake(where, match[1], "is not a parameter", values)
        return _literal(values[match[1]])

    return _NAMED.sub(sql, query).strip()


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return "(" + (", ".join(_literal(v) for v in value) or "null") + ")"
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(sep=' ')}'"
    if isinstance(value, (int, float)):
        return str(value)
    # Braces are doubled because Great Expectations formats the query once more.
    return "'" + str(value).replace("'", "''").replace("{", "{{").replace("}", "}}") + "'"
