"""Rounds between two refreshes: what they find, that they agree with a refresh, and do no harm."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from careloop import clock
from careloop.care import plan_published
from careloop.cli.main import app
from careloop.cli.run import Steps, refresh_once
from careloop.contract import entities
from careloop.errors import BusyError, SettingsError
from careloop.explain.read import explain
from careloop.home import hold
from careloop.ledger.database import open_ledger, utc
from careloop.ledger.tables import alert_items, escalations, messages
from careloop.program.base import duration_seconds
from careloop.program.load import load_program
from careloop.program.service_rules import SERVICE_EVENTS, service_rules
from careloop.published import decision_files, is_of_watch, watch_files
from careloop.sample import make_sample
from careloop.service import entities_of_service, load, service_round
from careloop.settings import Settings, load_settings
from careloop.transform.dbt import manifest
from careloop.watch import watch
from careloop.watch.models import RESULTS, TAKEN, selection
from conftest import table_text

PACK = load_program("retail_care")
ZONE = ZoneInfo(PACK.zone)
DAY, LATER = "2026-10-20", "2026-10-20T15:30"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def rows(file: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as con:
        return con.execute(sql).fetchall()


def in_ledger(settings: Settings) -> list[tuple]:
    m = messages.c
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = con.execute(
            select(m.decision_key, m.rule, m.state, m.as_of).order_by("decision_key")
        )
        return [tuple(row) for row in found]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A small company's home, refreshed in the night before a busy day."""
    root = tmp_path_factory.mktemp("start")
    make_sample(root / "crm", 150, 11, date(2026, 11, 1), 0.01, "auto")
    settings = load_settings(
        home=root / "home",
        program=PACK.name,
        sources=[root / "crm" / "online", root / "crm" / "store"],
        keep_days=400,
    )
    refresh_once(settings, DAY, Steps(quiet=True))
    return settings


def copied(settings: Settings, root: Path) -> Settings:
    """A copy of home and CRM, to go on from."""
    shutil.copytree(settings.home, root / "home", symlinks=True)
    shutil.copytree(settings.sources[0].parent, root / "crm")
    sources = [root / "crm" / path.name for path in settings.sources]
    return settings.model_copy(update={"home": root / "home", "sources": sources})


def put_tickets(settings: Settings, *tickets: dict[str, Any]) -> None:
    """New tickets in a file that the CRM ships between two refreshes; times are local."""
    folder = settings.sources[0]
    with (folder / "tickets.jsonl").open(encoding="utf-8") as file:
        columns = dict.fromkeys(json.loads(file.readline()))
    read = f"select customer_no from read_csv('{folder}/customers.csv', all_varchar = true)"
    customers = [customer for (customer,) in duckdb.sql(f"{read} order by 1").fetchall()]
    usual = {
        "channel": "phone",
        "touchpoint": "delivery",
        "kind": "complaint",
        "category": "late_delivery",
        "urgency": "general",
        "is_complex": False,
        "department": "logistics",
        "owner_id": "S1007",
        "reopened_count": 0,
    }
    with (folder / "tickets_of_the_day.jsonl").open("a", encoding="utf-8") as file:
        for customer, ticket in zip(customers, tickets, strict=False):
            moments = {k: iso(v) for k, v in ticket.items() if k.endswith("_at")}
            known = {"customer_no": customer, "updated_at": max(moments.values())}
            file.write(json.dumps(columns | usual | known | ticket | moments) + "\n")


def iso(text: str) -> str:
    return f"{utc(at(text)).isoformat()}Z"


# Opened since the refresh and late already; late since noon, though it came only now; solved in
# time; and as many faults within an hour as make an incident.
OF_THE_DAY = (
    {"ticket_id": "LATE", "opened_at": f"{DAY}T09:05", "touchpoint": "consult", "kind": "enquiry"},
    {"ticket_id": "CAME_LATE", "opened_at": "2026-10-17T12:00"},
    {
        "ticket_id": "SOLVED",
        "opened_at": f"{DAY}T09:30",
        "first_response_at": f"{DAY}T09:35",
        "resolved_at": f"{DAY}T10:00",
    },
    *(
        {"ticket_id": f"FAULT{n:02}", "opened_at": f"{DAY}T11:{n:02}", "kind": "fault"}
        for n in range(24)
    ),
)


@pytest.fixture(scope="module")
def home(start: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose refresh is planned; the rounds of this module go on from there."""
    settings = copied(start, tmp_path_factory.mktemp("watch"))
    put_tickets(settings, *OF_THE_DAY)
    plan_published(settings, PACK, at(f"{DAY}T02:00"))
    return settings


@pytest.fixture(scope="module")
def past(start: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A round and a refresh of the same hour, later on the day of the last refresh."""
    settings = copied(start, tmp_path_factory.mktemp("past"))
    put_tickets(settings, *OF_THE_DAY)
    load(settings, at(LATER), lambda _: None)
    before = (settings.published / "marts.duckdb").resolve()
    found = watch(settings, PACK, at(LATER))
    full = refresh_once(settings, LATER, Steps(quiet=True))
    return {"before": before, "watch": found.file, "refresh": Path(full["published"])}


def test_the_selection_computes_only_what_is_not_taken(start: Settings) -> None:
    chosen = selection(manifest(start))
    assert "fct_care_decisions" in chosen.models
    assert not set(TAKEN) & set(chosen.models)
    assert "int_care_customers" in chosen.intermediate
    taken = set(chosen.intermediate) | set(chosen.marts)
    assert not taken & set(chosen.models)
    assert len(chosen.models) < 80


def test_the_rules_of_service_are_those_that_wait_for_its_events() -> None:
    found = service_rules(PACK)
    assert found
    assert {rule.trigger.event.name for rule in found} <= SERVICE_EVENTS
    waiting = {
        r.id
        for r in PACK.rules
        if r.active and r.trigger.event and r.trigger.event.name in SERVICE_EVENTS
    }
    assert {rule.id for rule in found} == waiting


def test_rows_of_service_wait_for_no_other_load() -> None:
    loaded = entities_of_service()
    assert {"tickets", "customers"} <= loaded
    assert not loaded & {"interactions", "order_lines", "points", "products"}


@pytest.mark.slow
def test_a_round_decides_what_a_refresh_of_the_hour_decides(past: dict[str, Path]) -> None:
    """The same occasions through the same gates, but for what other rules take of the caps."""
    names = ", ".join(f"'{rule.id}'" for rule in service_rules(PACK))
    sql = (
        "select decision_key, customer_id, rule, occasion, occurred_at, expires_at, about, "
        "coalesce(nullif(gate, 'caps'), '') as gate, channel, not_before, rule_version, as_of, "
        f"pack_hash from fct_care_decisions where rule in ({names}) order by decision_key"
    )
    mine, whole = rows(past["watch"], sql), rows(past["refresh"], sql)
    assert {"ticket_opened", "incident"} <= {row[3].partition(":")[0] for row in mine}
    known = {key for (key,) in rows(past["before"], "select decision_key from fct_care_decisions")}
    found = {row[0] for row in mine}
    assert mine == [row for row in whole if row[0] in found]
    assert {row[0] for row in whole} - found <= known, "what the last refresh decided already"


def test_a_round_tells_who_must_know(home: Settings) -> None:
    """A ticket that came since the refresh and is late is escalated by the next round, once."""
    service_round(home, PACK, at(f"{DAY}T09:10"), at(f"{DAY}T09:10"))
    assert not raised(home, "LATE", "supervisor")
    for minute in (30, 45):
        moment = at(f"{DAY}T09:{minute}")
        service_round(home, PACK, moment, moment)
    assert raised(home, "LATE", "supervisor") == [("consult_answer", utc(at(f"{DAY}T09:30")))]


def test_twice_is_once(home: Settings) -> None:
    as_of, now = at(f"{DAY}T11:30"), at(f"{DAY}T11:31")
    first = service_round(home, PACK, as_of, now)
    before, content = in_ledger(home), table_text(first.watched.file)
    second = service_round(home, PACK, as_of, now)
    assert first.planned.planned > 0
    assert second.planned.planned == 0
    assert second.planned.known == first.planned.planned + first.planned.known
    assert in_ledger(home) == before
    assert table_text(second.watched.file) == content
    third = service_round(home, PACK, at(f"{DAY}T11:45"), at(f"{DAY}T11:46"))
    keys = [row[0] for row in in_ledger(home)]
    assert len(keys) == len(set(keys))
    assert third.watched.file != second.watched.file


def test_a_round_goes_on_while_a_refresh_holds_the_home(home: Settings) -> None:
    said: list[str] = []
    with hold(home):
        done = service_round(home, PACK, at(f"{DAY}T11:50"), at(f"{DAY}T11:50"), said.append)
    assert done.loaded is None
    assert any("a refresh is under way" in line for line in said)
    assert "nothing was loaded" in done.summary
    assert done.watched.file.exists()


def test_two_rounds_at_once_are_told_so(home: Settings) -> None:
    before, files, moment = in_ledger(home), watch_files(home), at(f"{DAY}T11:55")
    with hold(home.apart("watch")), pytest.raises(BusyError, match="another run"):
        service_round(home, PACK, moment, moment)
    assert (in_ledger(home), watch_files(home)) == (before, files)
    # The refresh has a lock of its own.
    with hold(home.apart("watch")), hold(home):
        pass


def test_nothing_is_watched_before_the_first_refresh(home: Settings) -> None:
    with pytest.raises(SettingsError, match="nothing is published up to"):
        watch(home, PACK, at("2020-01-01T00:00"))


def test_what_a_round_leaves_names_nobody(home: Settings) -> None:
    done = watch(home, PACK, at(f"{DAY}T12:00"))
    apart = home.apart("watch")
    kept = {path.name for path in apart.build.iterdir()} - {"target", "logs", "tmp"}
    assert kept == {".lock", "statements.json", *(path.name for path in watch_files(home))}
    assert len(watch_files(home)) <= 4
    with duckdb.connect(str(done.file), read_only=True) as con:
        listed = "select table_name, column_name from duckdb_columns() where not internal"
        columns = con.execute(listed).fetchall()
    personal = {
        (entity.name, c.name)
        for entity in entities().values()
        for c in entity.columns.values()
        if c.personal
    }
    assert {table for table, _ in columns} == {*RESULTS, "watch_run"}
    assert not {column for _, column in columns} & {column for _, column in personal}


def test_explain_tells_the_refresh_and_the_rounds(home: Settings) -> None:
    done = service_round(home, PACK, at(f"{DAY}T13:00"), at(f"{DAY}T13:00"))
    files = decision_files(home)
    assert any(is_of_watch(file) for file in files)
    assert any(not is_of_watch(file) for file in files)
    customer, rule = rows(
        done.watched.file,
        "select customer_id, rule from fct_care_decisions order by decision_key limit 1",
    )[0]
    explained = explain(home, PACK, customer, at(f"{DAY}T00:00").date())
    keys = [row["decision_key"] for row in explained.decisions]
    assert rule in {row["rule"] for row in explained.decisions}
    assert len(keys) == len(set(keys))
    daily = rows(
        home.published / "marts.duckdb",
        f"select decision_key from fct_care_decisions where customer_id = '{customer}'",
    )
    assert {key for (key,) in daily} <= set(keys)


def test_planning_the_next_refresh_is_not_misled_by_rounds(home: Settings, tmp_path: Path) -> None:
    """A round planned later than the refresh's as_of doesn't make the refresh look planned."""
    with open_ledger(home) as ledger, ledger.read() as con:
        last = con.execute(select(func.max(messages.c.as_of))).scalar_one()
    assert last > utc(at(f"{DAY}T00:00"))
    assert plan_published(home, PACK, at(f"{DAY}T14:00")) == []


def test_the_command_prints_a_round(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: at(f"{DAY}T14:00").astimezone())
    arguments = ["service", "round", "--home", str(home.home), "--as-of", f"{DAY}T14:00"]
    for source in home.sources:
        arguments += ["--source", str(source)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "as of 2026-10-20 14:00, going on from 20261020T0000-" in result.output


CLOCKS = {
    "fct_ticket_clocks": "ticket_id",
    "fct_ticket_clock_events": "ticket_id",
    "fct_case_clocks": "case_id",
    "fct_incidents": "incident_id",
    "fct_late_deliveries": "order_id",
}


@pytest.mark.slow
@pytest.mark.parametrize("table", CLOCKS)
def test_open_cases_are_those_a_refresh_of_the_hour_computes(
    past: dict[str, Path], table: str
) -> None:
    """Row by row, every column, of all that the round looked at."""
    assert set(CLOCKS) | {"fct_care_decisions"} == set(RESULTS)
    key = CLOCKS[table]
    with duckdb.connect() as con:
        con.execute(f"attach '{past['watch']}' as w (read_only)")
        con.execute(f"attach '{past['refresh']}' as f (read_only)")
        mine = con.execute(f"select count(*) from w.{table}").fetchall()[0][0]
        only = f"where {key} in (select {key} from w.{table})"
        assert con.execute(f"from w.{table} except all (from f.{table})").fetchall() == []
        assert (
            con.execute(
                f"select * from (from f.{table} {only}) except all (from w.{table})"
            ).fetchall()
            == []
        )
    assert mine or table == "fct_case_clocks"


@pytest.mark.slow
def test_no_open_clock_is_overlooked(past: dict[str, Path]) -> None:
    since = f"breached_at between '{utc(at(DAY))}' and '{utc(at(LATER))}'"
    clocks = "select ticket_id, clock, breached_at from fct_ticket_clocks where"
    for which in ("is_open", since):
        full = set(rows(past["refresh"], f"{clocks} {which}"))
        found = set(rows(past["watch"], f"{clocks} {which}"))
        assert full == found
    late = {(ticket, clock): breached for ticket, clock, breached in found}
    assert late["LATE", "consult_answer"] == utc(at(f"{DAY}T09:15"))
    assert late["CAME_LATE", "simple_solved"] == utc(at(f"{DAY}T12:00"))
    assert "SOLVED" not in {ticket for ticket, _ in late}


def raised(settings: Settings, ticket: str, level: str) -> list[tuple]:
    return [(e[1], e[4]) for e in escalated(settings) if (e[0], e[3]) == (ticket, level)]


ROUND = """
import sys
from datetime import datetime
from pathlib import Path
from careloop.program.load import load_program
from careloop.service import service_round
from careloop.settings import load_settings
home, moment, *sources = sys.argv[1:]
settings = load_settings(home=Path(home), program="retail_care", sources=[Path(s) for s in sources])
pack, as_of = load_program("retail_care"), datetime.fromisoformat(moment)
print("ready", flush=True)
service_round(settings, pack, as_of, as_of)
"""


@pytest.mark.slow
def test_killed_rounds_leave_what_an_undisturbed_one_does(home: Settings, tmp_path: Path) -> None:
    """kill -9 at random moments of three rounds, then one to its end."""
    calm, killed = copied(home, tmp_path / "calm"), copied(home, tmp_path / "killed")
    moment = at(f"{DAY}T18:00")
    for settings in (calm, killed):
        put_tickets(settings, {"ticket_id": "NEW", "opened_at": f"{DAY}T14:00"})
    begun = time.perf_counter()
    undisturbed = service_round(calm, PACK, moment, moment)
    took = time.perf_counter() - begun
    chance = random.Random(7)
    for share in (0.3, 0.6, 0.95):
        command = [sys.executable, "-c", ROUND, str(killed.home), moment.isoformat()]
        process = subprocess.Popen(
            [*command, *map(str, killed.sources)], stdout=subprocess.PIPE, cwd=tmp_path
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(took * share * chance.uniform(0.5, 1))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    last = service_round(killed, PACK, moment, moment)
    assert table_text(last.watched.file) == table_text(undisturbed.watched.file)
    assert in_ledger(killed) == in_ledger(calm)
    assert escalated(killed) == escalated(calm)
    assert {row[0] for row in escalated(calm)} & {"LATE", "NEW"}
    told = [escalations_told(settings) for settings in (killed, calm)]
    assert told[0] == told[1]
    assert len(told[0]) == len(set(told[0])) > 0


def escalations_told(settings: Settings) -> list[tuple]:
    """Which escalations are on whose lists."""
    e, i = escalations.c, alert_items.c
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = con.execute(
            select(e.case_id, e.clock, e.level, i.audience)
            .join_from(alert_items, escalations, e.escalation_id == i.escalation_id)
            .order_by(e.case_id, e.clock, e.level, i.audience)
        )
        return [tuple(row) for row in found]


EXPECTED = """
with
rounds as (
    select unnest(generate_series(
        timestamp '{first}', timestamp '{last}', interval 1 hour
    )) as moment
),
levels as (select * from (values {levels}) as l (level, after_seconds)),
reached as (
    select c.*, l.level, c.breached_at + to_seconds(l.after_seconds) as reached_at
    from fct_ticket_clocks as c
    cross join levels as l
)
select c.ticket_id, c.clock, c.cycle, c.level, min(r.moment) as raised_at
from reached as c
inner join rounds as r
    on c.reached_at <= r.moment
    and (
        coalesce(c.stopped_at > r.moment, true)
        -- Missed and done between two rounds.
        or (
            c.state = 'breached'
            and c.reached_at between timestamp '{first}' and c.stopped_at
        )
    )
where c.ticket_id not in (select ticket_id from fct_tickets where reopened_count > 0)
group by all
order by all
"""


@pytest.mark.slow
def test_a_week_hour_by_hour(
    start: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """168 rounds of the real flow: who had to be told is what one query over the clocks says
    that were known when the week was over, each once, at the first round after the moment."""
    settings = copied(start, tmp_path)
    put_tickets(settings, *of_the_week())
    hour_by_hour(settings, monkeypatch, 168)


def of_the_week() -> Iterator[dict[str, Any]]:
    """A ticket every other hour, answered between at once and in two days, solved in up to six."""
    for n in range(84):
        opened = at(DAY) + timedelta(hours=2 * n, minutes=7 * n % 60)
        answered = opened + timedelta(hours=n % 7 * 8, minutes=3)
        solved = answered + timedelta(hours=n % 6 * 23, minutes=31)
        moments = {"opened_at": opened, "first_response_at": answered, "resolved_at": solved}
        yield {
            "ticket_id": f"WEEK{n:02}",
            "kind": ("complaint", "enquiry")[n % 2],
            "touchpoint": ("consult", "delivery", "after_sale")[n % 3],
            **{name: f"{moment:%Y-%m-%dT%H:%M}" for name, moment in moments.items()},
        }


def hour_by_hour(settings: Settings, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    from flows.service import service
    from prefect.testing.utilities import prefect_test_harness

    monkeypatch.setenv("CARELOOP_HOME", str(settings.home))
    monkeypatch.setenv("CARELOOP_SOURCES", json.dumps([str(path) for path in settings.sources]))
    moments = [at(DAY) + timedelta(hours=n) for n in range(1, hours + 1)]
    took = []
    with prefect_test_harness(server_startup_timeout=120):
        for moment in moments:
            begun = time.perf_counter()
            told = {"as_of": f"{moment:%Y-%m-%dT%H:%M}", "now": moment.isoformat()}
            state = service(program=PACK.name, **told, return_state=True)
            assert state.is_completed(), state.message
            took.append(time.perf_counter() - begun)
        before = escalated(settings), in_ledger(settings)
        service(program=PACK.name, **told, return_state=True)
    assert (escalated(settings), in_ledger(settings)) == before
    print(f"seconds a round: {sorted(took)[len(took) // 2]:.2f} (median of {len(took)})")
    full = Path(refresh_once(settings, told["as_of"], Steps(quiet=True))["published"])
    steps = {s.id: duration_seconds(s.after) if s.after else 0 for s in PACK.sla.escalation}
    sql = EXPECTED.format(
        first=utc(moments[0]),
        last=utc(moments[-1]),
        levels=", ".join(f"('{level}', {seconds})" for level, seconds in steps.items()),
    )
    expected = rows(full, sql)
    reopened = {
        t for (t,) in rows(full, "select ticket_id from fct_tickets where reopened_count > 0")
    }
    found = sorted(row for row in escalated(settings) if row[3] in steps and row[0] not in reopened)
    assert found == expected
    assert len(expected) > hours // 3
    keys = [row[0] for row in in_ledger(settings)]
    assert len(keys) == len(set(keys))


def escalated(settings: Settings) -> list[tuple]:
    """Every escalation of a ticket: ticket, clock, cycle, level, when it was raised (UTC)."""
    e = escalations.c
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = con.execute(
            select(e.case_id, e.clock, e.cycle, e.level, e.raised_at).where(e.case_kind == "ticket")
        )
        return sorted(tuple(row) for row in found)
