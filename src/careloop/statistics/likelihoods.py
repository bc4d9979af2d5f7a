"""Likelihoods of changes as a table, one row per distinct history, for SQL to join to."""

import duckdb
import numpy as np
import pyarrow as pa

from careloop.statistics.counts import expected_counts

HISTORY = ("direction", "baseline_events", "baseline_days", "recent_days", "recent_events")


def likelihood_table(candidates: duckdb.DuckDBPyRelation, interval: float) -> pa.Table:
    """One row per distinct direction (``drop`` or ``surge``) and history among the candidates
    that have a direction: the expected range of the recent count, which holds at least the share
    ``interval``, and the likelihood of a count as low (drop) or as high (surge) as observed,
    rounded to 9 decimals."""
    columns = ", ".join(HISTORY)
    rows = candidates.filter("direction is not null").project(columns).distinct().order(columns)
    histories = rows.to_arrow_table()
    known, days, span, seen = (histories[name].to_numpy() for name in HISTORY[1:])
    expected = expected_counts(known, days, span, seen, interval)
    falling = np.asarray(histories["direction"].to_pylist(), dtype=object) == "drop"
    likelihood = np.where(falling, expected.fewer, expected.more)
    return (
        histories.append_column("expected_low", pa.array(expected.low, pa.float64()))
        .append_column("expected_high", pa.array(expected.high, pa.float64()))
        .append_column("likelihood", pa.array(np.round(likelihood, 9), pa.float64()))
    )
