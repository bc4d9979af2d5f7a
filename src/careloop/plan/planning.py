"""From ``fct_care_decisions`` of a published version to messages and exposures in the ledger."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from sqlalchemy import func, update

from careloop.errors import CareloopError
from careloop.ledger.database import PLANNING, Ledger, hold_lock, utc
from careloop.ledger.messages import CHUNK, insert_exposures, insert_new, insert_plan
from careloop.ledger.tables import plans
from careloop.program.model import Program
from careloop.published import version_of
from careloop.settings import Settings
from careloop.warehouse import chunks, connect, has_tables

TABLE = "fct_care_decisions"
TOO_LATE = "not planned in time"
Progress = Callable[[int, int], None]

OUTBOX = f"""
select
    left(sha256(decision_key || '|' || channel), 32) as message_id,
    decision_key, customer_id, rule, rule_version, occasion, purpose, channel, kind,
    coalesce(is_cap_exempt, false) as is_cap_exempt, cap_group, contact_on, not_before,
    expires_at, due_at, owner_role, owner_id, offer, offer_until, segment, pack_hash, as_of,
    locale, template, about, coalesce(priority, 0) as priority, order_no
from {TABLE}
where outcome in ('send', 'task')
order by order_no
"""
EXPOSED = f"""
select
    decision_key, customer_id, rule, rule_version, occasion, arm, holdout_scope,
    holdout_share, segment, pack_hash, as_of
from {TABLE}
where reached_holdout
order by decision_key
"""


@dataclass(frozen=True)
class Planned:
    """What planning one version added. expired: messages whose time had passed already; known:
    decisions of the outbox that were in the ledger before."""

    version: str
    planned: int
    expired: int
    known: int
    exposures: int


def plan(
    settings: Settings,
    program: Program,
    version_file: Path,
    now: datetime,
    ledger: Ledger,
    progress: Progress | None = None,
) -> Planned:
    """Insert what the version decided and the ledger doesn't have yet.

    Planning again, twice at once, or after a crash in the middle adds only what is missing: each
    chunk of rows is one transaction, and a decision is in the ledger once whatever its channel.
    Messages that are too late at ``now`` are recorded as expired at their own as_of, so that
    catching up after an outage sends nothing stale and uses up no caps. Raises CareloopError
    when the version has no decisions table.
    """
    version = version_of(version_file)
    moment = utc(now)
    con = _open(settings, version_file)
    try:
        total = con.execute(
            f"select count(*) filter (where outcome in ('send', 'task')) from {TABLE}"
        ).fetchall()[0][0]
        _begin(ledger, program, version, moment)
        done = {"planned": 0, "expired": 0}
        seen = 0
        for rows in chunks(con, OUTBOX, CHUNK):
            with ledger.write() as write:
                hold_lock(write, PLANNING)
                new = insert_plan(write, [_message(row, program.name, moment) for row in rows])
            for state, count in new.items():
                done[state] += count
            seen += len(rows)
            if progress:
                progress(seen, total)
        exposed = 0
        for rows in chunks(con, EXPOSED, CHUNK):
            with ledger.write() as write:
                hold_lock(write, PLANNING)
                exposed += insert_exposures(write, [{**r, "pack": program.name} for r in rows])
    finally:
        con.close()
    _finish(ledger, version, moment, sum(done.values()), exposed)
    known = total - sum(done.values())
    return Planned(version, done["planned"], done["expired"], known, exposed)


def _open(settings: Settings, file: Path) -> duckdb.DuckDBPyConnection:
    con = connect(settings, file, read_only=True)
    if not has_tables(con, TABLE):
        con.close()
        raise CareloopError(
            f"{file.name} holds no care decisions", "run `careloop run` with this release first"
        )
    return con


def _message(row: dict[str, Any], pack: str, now: datetime) -> dict[str, Any]:
    late = row["expires_at"] is not None and row["expires_at"] <= now
    return {
        **row,
        "pack": pack,
        "route": "task" if row["kind"] == "task" else row["channel"],
        "state": "expired" if late else "planned",
        "state_at": row["as_of"] if late else now,
        "detail": TOO_LATE if late else None,
        "next_attempt_at": row["not_before"] or row["as_of"],
        "attempts": 0,
        "failures": 0,
    }


def _begin(ledger: Ledger, program: Program, version: str, now: datetime) -> None:
    as_of = datetime.strptime(version.partition("-")[0], "%Y%m%dT%H%M")  # noqa: DTZ007
    local = as_of.replace(tzinfo=ZoneInfo(program.zone))
    row = {"version": version, "as_of": utc(local), "pack": program.name, "started_at": now}
    with ledger.write() as con:
        insert_new(con, plans, [{**row, "messages": 0, "exposures": 0}])


def _finish(ledger: Ledger, version: str, now: datetime, messages: int, exposures: int) -> None:
    with ledger.write() as con:
        con.execute(
            update(plans)
            .where(plans.c.version == version)
            .values(
                finished_at=func.coalesce(plans.c.finished_at, now),
                messages=plans.c.messages + messages,
                exposures=plans.c.exposures + exposures,
            )
        )
