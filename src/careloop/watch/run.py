"""One round of the watch: from the lake, the ledger and the published version to open cases."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import perf_counter

import duckdb

from careloop.durable import move
from careloop.errors import SettingsError
from careloop.home import hold
from careloop.lake.batches import Lake
from careloop.ledger.lately import write_ledger_of
from careloop.program.model import Program
from careloop.program.service_rules import only_service
from careloop.program.tables import write_program_tables
from careloop.publish import keep_decisions
from careloop.published import WATCH, decisions_file, version_of, version_until, watch_files
from careloop.run_info import RunInfo, run_info
from careloop.settings import Settings
from careloop.transform.care_inputs import REACHABILITY
from careloop.transform.prepare import CALENDAR_AHEAD, first_day, write_run
from careloop.warehouse import connect, literal, quote
from careloop.watch.candidates import find_candidates
from careloop.watch.compiled import Compiled, choose, compiled, compute, key_of
from careloop.watch.inputs import take_inputs, write_history
from careloop.watch.models import RESULTS, Selection
from careloop.watch.raw import write_raw

Progress = Callable[[str], None]
KEPT = 4
# Other cases of the same customers are there for what they say of them, and not looked at.
OPEN_ONLY = {
    "fct_ticket_clocks": "semi join warehouse.watch.open_tickets using (ticket_id)",
    "fct_ticket_clock_events": "semi join warehouse.watch.open_tickets using (ticket_id)",
    "fct_late_deliveries": "semi join warehouse.watch.open_orders using (order_id)",
    "fct_case_clocks": "semi join (select c.case_kind, c.case_id from fct_case_clocks as c, "
    "warehouse.watch.since where is_open and coalesce(breached_at > missed_from, true) "
    "or stopped_at > since.as_of union select case_kind, case_id from warehouse.watch.escalated) "
    "using (case_kind, case_id)",
}
DECIDED = "select outcome, count(*) from fct_care_decisions group by outcome order by outcome"
COUNTED = ("fct_ticket_clocks", "fct_case_clocks")
COUNTED_SQL = """
select
    clock, state,
    count(*) as open,
    count(*) filter (where state = 'running' and warn_on_at <= $1) as due,
    count(*) filter (where breached_at is not null) as late
from results.{0}
where is_open
group by clock, state
order by clock, state
"""


@dataclass
class Watched:
    """file: DuckDB file with the results of the open cases. since: version it goes on from.
    cases: open or changed ones by kind. decided: decisions by outcome. clocks: open ones by clock
    and state, of these due and late. seconds: by step."""

    file: Path
    as_of: datetime
    since: str
    cases: dict[str, int] = field(default_factory=dict)
    decided: dict[str, int] = field(default_factory=dict)
    clocks: list[dict[str, object]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def watch(
    settings: Settings,
    program: Program,
    as_of: datetime,
    progress: Progress = lambda _: None,
) -> Watched:
    """Compute the open cases as of ``as_of`` (aware). A refresh may be under way meanwhile.

    Raises BusyError while another round is under way, SettingsError when nothing was published
    up to ``as_of`` by this program and release, TransformError when dbt fails. The results of the
    last round stay in place until the new ones are there, whole.
    """
    apart = settings.apart("watch")
    with hold(apart):
        lake = Lake(settings.lake)
        run = run_info(lake, program, as_of)
        version = version_until(settings, run.as_of_local)
        if version is None:
            raise SettingsError(
                f"nothing is published up to {run.as_of_local:%Y-%m-%d %H:%M}",
                "run `careloop run` first",
            )
        target = apart.build / f"marts-{run.as_of_local:%Y%m%dT%H%M}{WATCH}.duckdb"
        found = Watched(target, as_of, version_of(version))
        timer = _Timer(found.seconds)
        key = key_of(run, version)
        made = Compiled.kept(apart, key)
        chosen = made.chosen if made else choose(apart)
        timer("choose")
        if made is None:
            progress("compiling the models for the day")
            _prepare_models(apart, lake, run)
            made = compiled(apart, key, chosen, run)
            timer("compile")
        with _in_memory(apart) as con:
            progress("finding open cases and what changed")
            con.execute(f"attach {literal(version)} as published (read_only)")
            found.cases = _prepare(con, apart, lake, run, chosen, timer)
            progress("computing " + ", ".join(f"{n:,} {kind}" for kind, n in found.cases.items()))
            compute(con, apart, made, run)
            timer("compute")
            _leave(con, apart, run, found)
        timer("leave")
        _prune(settings, target)
    return found


class _Timer:
    """Seconds since the last step, by step."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds, self.start = seconds, perf_counter()

    def __call__(self, step: str) -> None:
        now = perf_counter()
        self.seconds[step], self.start = round(now - self.start, 2), now


def _in_memory(settings: Settings) -> duckdb.DuckDBPyConnection:
    """Empty databases named as in a refresh. What doesn't fit into memory spills."""
    con = connect(settings)
    # No model relies on the order of rows.
    con.execute("set preserve_insertion_order = false")
    con.execute("attach ':memory:' as marts")
    con.execute("attach ':memory:' as warehouse")
    con.execute("use warehouse")
    return con


def _prepare_models(settings: Settings, lake: Lake, run: RunInfo) -> None:
    """Write what macros ask when dbt compiles: the run and the program."""
    for path in (settings.warehouse, settings.marts):
        for leftover in (path, path.with_name(path.name + ".wal")):
            leftover.unlink(missing_ok=True)
    with connect(settings, settings.warehouse) as con:
        write_run(con, lake, run)
        _write_program(con, run)
        write_history(con)


def _write_program(con: duckdb.DuckDBPyConnection, run: RunInfo) -> None:
    until = run.as_of.date() + CALENDAR_AHEAD
    write_program_tables(con, only_service(run.program), first_day(con, run), until)


def _prepare(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    lake: Lake,
    run: RunInfo,
    chosen: Selection,
    timer: _Timer,
) -> dict[str, int]:
    """Write all that the models read; the version is attached as ``published``. Returns the
    number of candidates by kind."""
    _refuse_other_program(con, run)
    write_run(con, lake, run)
    find_candidates(con, settings, lake, run.program)
    timer("candidates")
    write_raw(con, lake)
    timer("raw")
    con.execute(REACHABILITY)
    write_ledger_of(con, settings, "watch.customers")
    timer("ledger")
    _write_program(con, run)
    timer("program")
    write_history(con)
    take_inputs(con, chosen)
    timer("inputs")
    return {
        kind: con.execute(f"select count(*) from watch.{kind}").fetchall()[0][0]
        for kind in ("tickets", "orders", "customers")
    }


def _refuse_other_program(con: duckdb.DuckDBPyConnection, run: RunInfo) -> None:
    pack = con.execute("select pack from published.rpt_run").fetchall()[0][0]
    if pack != run.program.name:
        raise SettingsError(
            f"the published version is of the pack {pack}, not {run.program.name}",
            f"name it with --program {pack}",
        )


def _leave(
    con: duckdb.DuckDBPyConnection, settings: Settings, run: RunInfo, found: Watched
) -> None:
    """Put the results of the open cases in place, and count them."""
    partial = found.file.with_name(f".{found.file.name}.new")
    partial.unlink(missing_ok=True)
    con.execute("use marts.main")
    con.execute(f"attach {literal(partial)} as results")
    con.execute(
        "create table results.watch_run as select *, ?::varchar as since "
        "from warehouse.run.context",
        [found.since],
    )
    for name in RESULTS:
        con.execute(
            f"create table results.{quote(name)} as select * from {quote(name)} "
            f"{OPEN_ONLY.get(name, '')}"
        )
    found.decided = dict(con.execute(DECIDED).fetchall())
    found.clocks = [
        dict(zip(("clock", "state", "open", "due", "late"), row, strict=True))
        for name in COUNTED
        for row in con.execute(COUNTED_SQL.format(name), [run.as_of_utc]).fetchall()
    ]
    con.execute("detach results")
    if found.decided:
        keep_decisions(con, decisions_file(settings, run.as_of_local, watch=True))
    move(partial, found.file)


def _prune(settings: Settings, target: Path) -> None:
    """Keep the last rounds, the current one in any case; and nothing a killed one left."""
    for path in [p for p in watch_files(settings)[:-KEPT] if p != target]:
        path.unlink()
    for path in target.parent.glob(".marts-*.new*"):
        path.unlink()
    shutil.rmtree(settings.apart("watch").spill, ignore_errors=True)
