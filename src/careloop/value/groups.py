"""What the fits need of the customers: how many have the same history, read grouped from DuckDB.

Customers with equal figures are one group, so that time and memory do not grow with them. Above
``MAX_GROUPS`` groups the figures are rounded: days to multiples of 7, 14 …, mean spend to three,
two … significant digits. A day is then off by at most 3.5 in some hundred either way and a mean
by 0.5 %; what that does to a likelihood is of second order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MAX_GROUPS = 150_000
DAY_STEPS = (1, 7, 14, 28, 56, 112)
DIGITS = (None, 3, 2, 1)


@dataclass(frozen=True)
class Histories:
    """Order histories in the model's time unit and how many customers have each. With a holdout:
    the sum and the sum of squares of these customers' orders in it."""

    x: Vector
    recency: Vector
    age: Vector
    customers: Vector
    held: Vector | None = None
    held_squares: Vector | None = None


@dataclass(frozen=True)
class Spend:
    """Numbers of repeat orders with their mean value, and how many customers have each."""

    x: Vector
    mean: Vector
    customers: Vector


def read_histories(
    table: duckdb.DuckDBPyRelation, unit_days: float, prefix: str = "", limit: int = MAX_GROUPS
) -> Histories:
    """Groups of a table with ``<prefix>repeats, <prefix>recency_days, <prefix>age_days`` and, with
    a prefix, ``holdout_orders``; rows without a history are left out. The order is fixed."""
    held = "sum(holdout_orders), sum(holdout_orders * holdout_orders)" if prefix else "0, 0"
    columns: list[Vector] = []
    for step in DAY_STEPS:
        columns = _columns(
            table,
            f"""
            select
                {prefix}repeats as x,
                cast(round({prefix}recency_days / {step}) as bigint) * {step} as recency,
                cast(round({prefix}age_days / {step}) as bigint) * {step} as age,
                count(*),
                {held}
            from histories
            where {prefix}repeats is not null
            group by all
            order by x, recency, age
            """,
            limit if step != DAY_STEPS[-1] else None,
        )
        if columns:
            break
    x, recency, age, customers, orders, squares = columns
    both = (orders, squares) if prefix else (None, None)
    return Histories(x, recency / unit_days, age / unit_days, customers, *both)


def read_spend(table: duckdb.DuckDBPyRelation, limit: int = MAX_GROUPS) -> Spend:
    """Groups of a table with ``repeats`` and ``mean_repeat_spend``. Customers without a repeat
    order, or whose repeat orders are worth nothing on average, say nothing about values and are
    left out."""
    columns: list[Vector] = []
    for digits in DIGITS:
        columns = _columns(
            table,
            f"""
            select
                repeats as x,
                {_rounded("mean_repeat_spend", digits)} as mean,
                count(*)
            from histories
            where repeats > 0 and mean_repeat_spend > 0
            group by all
            order by x, mean
            """,
            limit if digits != DIGITS[-1] else None,
        )
        if columns:
            break
    return Spend(*columns)


def _rounded(value: str, digits: int | None) -> str:
    if digits is None:
        return value
    power = f"cast({digits - 1} - floor(log10({value})) as integer)"
    return f"round({value} * pow(10, {power})) / pow(10, {power})"


def _columns(table: duckdb.DuckDBPyRelation, sql: str, limit: int | None) -> list[Vector]:
    """Columns of the answer as numbers; nothing if it has more rows than the limit."""
    result = table.query("histories", f"select * from ({sql})")
    if limit is not None:
        counted = result.aggregate("count(*)").fetchall()[0][0]
        if counted > limit:
            return []
    return list(_numbers(result))


def _numbers(result: duckdb.DuckDBPyRelation) -> Iterator[Vector]:
    for column in result.fetchnumpy().values():
        yield np.asarray(column, dtype=float)
