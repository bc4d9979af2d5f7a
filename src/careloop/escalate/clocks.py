"""The clocks of a file of marts: which levels they have reached, and what became of known ones."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from careloop.errors import CareloopError
from careloop.ledger.escalations import BACKLOG, OVER
from careloop.program.base import duration_seconds
from careloop.program.dates import utc_of
from careloop.program.model import Program
from careloop.program.sla import WARNING
from careloop.published import current_version, version_of, watch_files
from careloop.settings import Settings
from careloop.warehouse import Row, connect, literal, rows_of

TICKETS, CASES = "fct_ticket_clocks", "fct_case_clocks"
_CLOCK = (
    "clock, cycle::integer as cycle, customer_id, owner_id, department, target, "
    "started_at, stopped_at, warn_on_at, due_at, breached_at, elapsed_seconds::bigint as "
    "elapsed_seconds, state, is_open"
)
_FROM = {
    TICKETS: "select 'ticket' as case_kind, ticket_id as case_id, kind, urgency, "
    f"{_CLOCK} from {{0}}.{TICKETS}",
    CASES: "select case_kind, case_id, null::varchar as kind, null::varchar as urgency, "
    f"{_CLOCK} from {{0}}.{CASES} where case_kind <> 'ticket'",
}
_KEY = "case_kind, case_id, clock, cycle"
# As the name is unique whatever the pack, so is its hash.
_ID = "left(sha256(concat_ws('|', {0}.case_kind, {0}.case_id, {0}.clock, {0}.cycle, {1})), 32)"
REACHED = f"""
select
    {_ID.format("c", "l.level")} as escalation_id,
    c.case_kind, c.case_id, c.clock, c.cycle, l.level, c.customer_id, c.kind, c.urgency,
    l.role, c.owner_id, c.department, c.target, c.started_at, c.stopped_at, c.due_at,
    c.breached_at, c.elapsed_seconds,
    case
        when not c.is_open then '{OVER}'
        when c.breached_at + to_seconds(l.after_seconds) <= $recent_from then '{BACKLOG}'
    end as found
from (
    select * from clocks
    union all
    select * from ({{0}}) anti join clocks using ({_KEY})
    where not is_open and stopped_at > $seen_from
) as c
inner join levels as l
    on case
        when l.after_seconds is null
            then c.state = 'running' and c.breached_at is null and c.warn_on_at <= $as_of
        when c.is_open then c.breached_at + to_seconds(l.after_seconds) <= $as_of
        else
            c.breached_at + to_seconds(l.after_seconds) <= c.stopped_at
            and c.breached_at + to_seconds(l.after_seconds) > $seen_from
    end
where
    c.started_at <= $as_of
    and (
        c.is_open
        or (c.state = 'breached' and c.stopped_at > $seen_from and c.stopped_at <= $as_of)
    )
order by c.breached_at nulls last, c.case_kind, c.case_id, c.clock, c.cycle, l.position
"""
# A round looks at cases that are open or changed since the last refresh: of what stopped before
# that, the refresh knows when.
SEEN = f"""
create or replace temp view seen as
select * from clocks
union all
select p.*
from ({{0}}) as p
semi join known using ({_KEY})
anti join clocks using ({_KEY})
where not p.is_open and p.stopped_at <= timestamp '{{1}}'
"""
DUE = """
select *
from clocks
where is_open and (breached_at is not null or due_at <= $until)
order by case_kind, case_id, clock, cycle
"""
# What is known and looks different now, or is over.
CHANGED = """
select
    k.escalation_id, c.case_id is not null and c.is_open as is_open,
    c.stopped_at, c.owner_id, c.department, c.due_at, c.breached_at,
    coalesce(c.elapsed_seconds, k.elapsed_seconds) as elapsed_seconds
from known as k
left join seen as c
    on k.case_kind = c.case_kind and k.case_id = c.case_id
    and k.clock = c.clock and k.cycle = c.cycle
where
    k.last_seen_at <= $as_of
    and case_is_covered(k.case_kind)
    and (
        c.case_id is null or not c.is_open or k.last_seen_at < $as_of
        or (k.owner_id, k.department, k.due_at, k.breached_at, k.elapsed_seconds)
        is distinct from (c.owner_id, c.department, c.due_at, c.breached_at, c.elapsed_seconds)
    )
order by k.escalation_id
"""
KNOWN = pa.schema(
    {
        "escalation_id": pa.string(),
        "case_kind": pa.string(),
        "case_id": pa.string(),
        "clock": pa.string(),
        "cycle": pa.int32(),
        "owner_id": pa.string(),
        "department": pa.string(),
        "due_at": pa.timestamp("us"),
        "breached_at": pa.timestamp("us"),
        "elapsed_seconds": pa.int64(),
        "last_seen_at": pa.timestamp("us"),
    }
)


@dataclass
class Clocks:
    """The clocks of one file, at ``as_of`` (UTC without zone). recent_from: what was reached up to
    then is backlog."""

    con: duckdb.DuckDBPyConnection
    as_of: datetime
    recent_from: datetime
    stopped: str

    def reached(self, first: datetime) -> list[Row]:
        """One row per clock and level it has reached, the oldest breach first: of open ones, and
        of those that were missed and stopped after ``first``, no longer ago than backlog."""
        since = max(first, self.recent_from)
        values = {"as_of": self.as_of, "recent_from": self.recent_from, "seen_from": since}
        return self._rows(REACHED.format(self.stopped), **values)

    def changed(self, known: list[Row]) -> list[Row]:
        """Of the escalations that are open, those that are over or look different now; those of
        kinds of cases the file says nothing of, or last seen later than it, are left alone."""
        columns = [pa.array([row[n] for row in known], KNOWN.field(n).type) for n in KNOWN.names]
        self.con.register("known", pa.table(columns, schema=KNOWN))
        self.con.execute(SEEN.format(self.stopped, self.as_of))
        return self._rows(CHANGED)

    def due(self, until: datetime) -> list[Row]:
        """Open clocks that are late, or due until then."""
        return self._rows(DUE, until=until)

    def _rows(self, sql: str, **values: object) -> list[Row]:
        return rows_of(self.con, sql, values or {"as_of": self.as_of})


def open_clocks(settings: Settings, program: Program, file: Path, as_of: datetime) -> Clocks:
    """The clocks of ``file``; the connection is the caller's to close. Raises CareloopError where
    it has none."""
    con = connect(settings)
    try:
        found = _attached(con, file, "marts")
        if not found:
            raise CareloopError(f"{file.name} has no clocks", "run `careloop run` first")
        con.execute(f"create temp table clocks as {_union(found, 'marts')}")
        published = current_version(settings)
        known = _attached(con, published, "published") if published else []
        stopped = _union(known, "published") if known else "from clocks limit 0"
        con.execute(_covered(TICKETS in found, CASES in found))
        con.execute(
            "create temp table levels (position integer, level varchar, role varchar, "
            "after_seconds bigint)"
        )
        con.executemany("insert into levels values (?, ?, ?, ?)", _levels(program))
    except BaseException:
        con.close()
        raise
    recent = timedelta(seconds=duration_seconds(program.alerts.backlog_after))
    return Clocks(con, as_of, as_of - recent, stopped)


def _attached(con: duckdb.DuckDBPyConnection, file: Path, name: str) -> list[str]:
    """Which of the tables the file has, attached under ``name``."""
    con.execute(f"attach {literal(file)} as {name} (read_only)")
    tables = con.execute(
        "select table_name from duckdb_tables() where database_name = $name", {"name": name}
    ).fetchall()
    return [table for table in _FROM if (table,) in tables]


def _union(tables: list[str], database: str) -> str:
    return " union all ".join(_FROM[table].format(database) for table in tables)


def _covered(tickets: bool, cases: bool) -> str:
    both = f"case when kind = 'ticket' then {tickets} else {cases} end"
    return f"create temp macro case_is_covered(kind) as {both}"


def newest_clocks(settings: Settings) -> Path | None:
    """The latest file with clocks: of a round of the watch, or what is published."""
    found = watch_files(settings)
    published = current_version(settings)
    if published:
        found.append(published)
    # A round as of the same moment knows more.
    return max(found, key=lambda path: (_named_time(path), path != published), default=None)


def as_of_of(file: Path, zone: str) -> datetime:
    """The as_of a file of marts is named by, in UTC without zone."""
    return utc_of(datetime.fromisoformat(_named_time(file)), zone)


def _named_time(file: Path) -> str:
    return version_of(file).partition("-")[0]


def _levels(program: Program) -> list[tuple[int, str, str, int | None]]:
    """Position, level, role and seconds past the target; None is before it."""
    steps = [
        (i, step.id, step.to, duration_seconds(step.after) if step.after else 0)
        for i, step in enumerate(program.sla.escalation, 1)
    ]
    return [(0, WARNING, "owner", None), *steps]
