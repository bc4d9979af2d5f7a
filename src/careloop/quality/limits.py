"""Freshness and volume: expectations made from the pack's limits and the previous runs."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import duckdb

from careloop.contract import entities
from careloop.errors import GateError
from careloop.program.base import rough_days
from careloop.program.goals import Data
from careloop.quality.declared import BATCHES, QUERY, Declared

_ROWS = "expect_table_row_count_to_be_between"


def limits(con: duckdb.DuckDBPyConnection, data: Data) -> list[Declared]:
    """Expectations for the raw gate: age of the last batch, change of the row count, share of
    rows rejected. Raises GateError when the warehouse lacks a table."""
    try:
        previous = dict(
            con.execute("select entity, rows from run.previous_volumes where rows > 0").fetchall()
        )
        as_of = con.execute("select as_of_utc from run.context").fetchall()[0]
        delivered = {
            row[0] for row in con.execute("select distinct entity from run.batches").fetchall()
        }
    except duckdb.Error as error:
        raise GateError(
            f"freshness and volume cannot be checked: {str(error).splitlines()[0]}",
            "run `careloop run` again: it rebuilds the warehouse",
        ) from error
    return [
        *_freshness(data, *as_of, delivered),
        *_volume(data, previous),
        *_rejected(data, delivered),
    ]


def _freshness(data: Data, as_of_utc: datetime, delivered: set[str]) -> Iterable[Declared]:
    """An optional entity nobody ever delivered is unknown, not stale. The pack limits the age
    of the last batch; that what it brought is old too (an old export) is only a warning, as a
    quiet company has days without an event."""
    for i, limit in enumerate(data.freshness):
        if limit.entity not in delivered and not entities()[limit.entity].required:
            continue
        age = timedelta(days=rough_days(limit.max_age))
        ages = {
            "loaded_at": (
                f"max(loaded_at) is null or max(loaded_at) < timestamp '{as_of_utc - age}'",
                limit.severity,
                f"the last batch is at most {limit.max_age} old",
                f"最近一批数据距今不超过 {limit.max_age}",
            ),
            "max_event_at": (
                f"max(max_event_at) < timestamp '{as_of_utc - age}'",
                "warning",
                f"the newest event is at most {limit.max_age} old",
                f"最新一条业务记录距今不超过 {limit.max_age}",
            ),
        }
        for column, (stale, severity, english, chinese) in ages.items():
            of = f"where entity = '{limit.entity}'"
            yield _made(
                f"data.freshness[{i}]",
                limit.entity,
                QUERY,
                {
                    "unexpected_rows_query": f"select '{limit.entity}' as entity from {{batch}} "
                    f"{of} having {stale}"
                },
                severity,
                {"en": english, "zh": chinese},
                {
                    "en": "Decisions on old data reach the wrong customers.",
                    "zh": "依据过期数据的决定会触达错误的客户。",
                },
                f"select strftime(max({column}), '%Y-%m-%d %H:%M') from {BATCHES} {of}",
            )


def _volume(data: Data, previous: dict[str, int]) -> Iterable[Declared]:
    for i, limit in enumerate(data.volume):
        rows = previous.get(limit.entity)
        if rows is None:
            continue
        kwargs: dict[str, Any] = {"min_value": math.ceil(rows * (1 - limit.max_drop))}
        bounds = {
            "en": f"falls by at most {limit.max_drop:.0%}",
            "zh": f"减少不超过 {limit.max_drop:.0%}",
        }
        if limit.max_growth is not None:
            kwargs["max_value"] = math.floor(rows * (1 + limit.max_growth))
            bounds["en"] += f" and grows by at most {limit.max_growth:.0%}"
            bounds["zh"] += f"，增加不超过 {limit.max_growth:.0%}"
        yield _made(
            f"data.volume[{i}]",
            limit.entity,
            _ROWS,
            kwargs,
            limit.severity,
            {
                "en": f"the row count {bounds['en']} against the last published run ({rows:,})",
                "zh": f"与上次发布（{rows:,} 行）相比，行数{bounds['zh']}",
            },
            {
                "en": "A sudden change is a broken export far more often than a real one.",
                "zh": "行数骤变通常是导出出错，而不是业务变化。",
            },
        )


def _rejected(data: Data, delivered: set[str]) -> Iterable[Declared]:
    """One expectation over the batches since the last published run: a run that this stopped
    does not let them through the next day. A corrected file of the same name replaces its
    predecessor. A typing error in a short file, such as an edited register, stops nothing;
    a file of which nothing can be used does."""
    if not delivered:
        return
    share, few = data.max_rejected_share, data.few_rejected
    since = "coalesce((select max(as_of) from run.previous_volumes), timestamp '1970-01-01')"
    yield _made(
        "data.max_rejected_share",
        None,
        QUERY,
        {
            "unexpected_rows_query": "select entity, file from (select * from {batch} qualify "
            "row_number() over (partition by entity, source, file order by batch_seq desc) = 1) "
            f"as newest where loaded_at > {since} and rows_rejected > {share} * rows_read "
            f"and (rows_rejected > {few} or rows_rejected = rows_read)"
        },
        "critical",
        {
            "en": f"at most {share:.0%} of a file's rows are rejected, or {few} but not all",
            "zh": f"每个文件被拒绝的行不超过 {share:.0%}，或不超过 {few} 行且并非全部",
        },
        {
            "en": "So many bad rows mean a wrong mapping or a damaged file, not a few bad records.",
            "zh": "大量坏行说明映射错误或文件损坏，而不是个别记录的问题。",
        },
    )


def _made(
    where: str,
    entity: str | None,
    type_: str,
    kwargs: dict[str, Any],
    severity: str,
    says: dict[str, str],
    why: dict[str, str],
    observe: str | None = None,
) -> Declared:
    about = f"raw.{entity}" if entity else BATCHES
    table = BATCHES if type_ == QUERY else about
    key = ("entity", "file") if table == BATCHES else entities()[entity or ""].key
    where = f"program.yml: {where}"
    return Declared(where, table, about, key, type_, kwargs, severity, why, says, observe)
