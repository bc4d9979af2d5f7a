"""Rounds between two refreshes: what they find, that they agree with a refresh, and do no harm."""

import json
import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from careloop import clock
from careloop.care import plan_published
from careloop.cli.main import app
from careloop.cli.run import Steps, refresh_once
from careloop.errors import BusyError, SettingsError
from careloop.explain.read import explain
from careloop.home import hold
from careloop.ledger.database import open_ledger, utc
from careloop.ledger.tables import escalations, messages
from careloop.program.base import duration_seconds
from careloop.program.load import load_program
from careloop.program.service_rules import SERVICE_EVENTS, service_rules
from careloop.published import decision_files, is_of_watch, watch_files
from careloop.service import entities_of_service, service_round
from careloop.settings import Settings
from careloop.transform.dbt import manifest
from careloop.watch import watch
from careloop.watch.models import RESULTS, TAKEN, selection
from conftest import DAYS, Company, table_text

PACK = load_program("retail_care")
ZONE = ZoneInfo(PACK.zone)
DAY, LATER = "2026-10-20", "2026-10-21T15:30"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE)


def rows(file: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(file), read_only=True) as con:
        return con.execute(sql).fetchall()


def tables(file: Path) -> set[str]:
    return {name for (name,) in rows(file, "select table_name from duckdb_tables()")}


def in_ledger(settings: Settings) -> list[tuple]:
    with open_ledger(settings) as ledger, ledger.read() as con:
        return con.execute(
            select(messages.c.decision_key, messages.c.rule, messages.c.state, messages.c.as_of)
        ).all()


@pytest.fixture(scope="module")
def start(fresh: Company, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home refreshed as of a day on whose morning and later a lot happened."""
    settings = fresh.copy(tmp_path_factory.mktemp("start") / "home")
    for file in settings.published.glob("marts*"):
        file.unlink()
    refresh_once(settings, DAY, Steps(quiet=True))
    return settings


def copied(settings: Settings, home: Path) -> Settings:
    shutil.copytree(settings.home, home, symlinks=True)
    return settings.model_copy(update={"home": home})


@pytest.fixture(scope="module")
def home(start: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home whose refresh is planned; the rounds of this module go on from there."""
    settings = copied(start, tmp_path_factory.mktemp("watch") / "home")
    plan_published(settings, PACK, at(f"{DAY}T02:00"))
    return settings


@pytest.fixture(scope="module")
def past(start: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A round and a refresh of the same hour, a day and a half after the last refresh."""
    settings = copied(start, tmp_path_factory.mktemp("past") / "home")
    found = watch(settings, PACK, at(LATER))
    full = refresh_once(settings, LATER, Steps(quiet=True))
    return {"watch": found.file, "refresh": Path(full["published"])}


def test_the_selection_computes_only_what_is_not_taken(fresh: Company) -> None:
    chosen = selection(manifest(fresh.settings))
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


def test_a_round_decides_what_a_refresh_of_the_hour_decides(past: dict[str, Path]) -> None:
    """The same occasions through the same gates, but for what other rules take of the caps."""
    names = ", ".join(f"'{rule.id}'" for rule in service_rules(PACK))
    sql = (
        "select decision_key, customer_id, rule, occasion, occurred_at, expires_at, about, "
        "coalesce(nullif(gate, 'caps'), '') as gate, channel, not_before, rule_version, as_of, "
        f"pack_hash from fct_care_decisions where rule in ({names}) order by decision_key"
    )
    mine, whole = rows(past["watch"], sql), rows(past["refresh"], sql)
    assert mine
    assert mine == whole


def test_twice_is_once(home: Settings) -> None:
    as_of, now = at(f"{DAY}T10:00"), at(f"{DAY}T10:01")
    first = service_round(home, PACK, as_of, now)
    before, content = in_ledger(home), table_text(first.watched.file)
    second = service_round(home, PACK, as_of, now)
    assert first.planned.planned > 0
    assert second.planned.planned == 0
    assert second.planned.known == first.planned.planned + first.planned.known
    assert in_ledger(home) == before
    assert table_text(second.watched.file) == content
    third = service_round(home, PACK, at(f"{DAY}T10:15"), at(f"{DAY}T10:16"))
    keys = [row.decision_key for row in in_ledger(home)]
    assert len(keys) == len(set(keys))
    assert third.watched.file != second.watched.file


def test_a_round_goes_on_while_a_refresh_holds_the_home(home: Settings) -> None:
    said: list[str] = []
    with hold(home):
        done = service_round(home, PACK, at(f"{DAY}T11:00"), at(f"{DAY}T11:00"), said.append)
    assert done.loaded is None
    assert "refresh" in said[0]
    assert "nothing was loaded" in done.summary
    assert done.watched.file.exists()


def test_two_rounds_at_once_are_told_so(home: Settings) -> None:
    with hold(home.apart("watch")), pytest.raises(BusyError, match="another run"):
        watch(home, PACK, at(f"{DAY}T11:00"))
    # The refresh has a lock of its own.
    with hold(home.apart("watch")), hold(home):
        pass


def test_nothing_is_watched_before_the_first_refresh(home: Settings) -> None:
    with pytest.raises(SettingsError, match="nothing is published up to"):
        watch(home, PACK, at("2020-01-01T00:00"))


def test_what_a_round_leaves_names_nobody(home: Settings) -> None:
    watch(home, PACK, at(f"{DAY}T12:00"))
    apart = home.apart("watch")
    assert len(watch_files(home)) <= 4
    assert not list(apart.build.glob(".marts-*"))
    with duckdb.connect(str(apart.warehouse), read_only=True) as con:
        listed = {t for (t,) in con.execute("select table_name from duckdb_tables()").fetchall()}
        texts = con.execute("select count(description), count(result) from raw.tickets").fetchall()
        births = con.execute("select count(birthday) from intermediate.int_care_customers")
        assert "contacts" not in listed
        assert texts == [(0, 0)]
        assert births.fetchall() == [(0,)]
        assert con.execute("select count(*) from raw.interactions").fetchall() == [(0,)]


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
    assert mine or table in ("fct_case_clocks", "fct_incidents")


def test_no_open_clock_is_overlooked(past: dict[str, Path]) -> None:
    with duckdb.connect() as con:
        con.execute(f"attach '{past['watch']}' as w (read_only)")
        con.execute(f"attach '{past['refresh']}' as f (read_only)")
        overlooked = con.execute(
            "select ticket_id, clock from f.fct_ticket_clocks where is_open "
            "except select ticket_id, clock from w.fct_ticket_clocks"
        ).fetchall()
        since = con.execute(
            "select count(*) from f.fct_ticket_clocks "
            f"where breached_at between '{utc(at(DAY))}' and '{utc(at(LATER))}'"
        ).fetchall()[0][0]
        found = con.execute(
            "select count(*) from w.fct_ticket_clocks "
            f"where breached_at between '{utc(at(DAY))}' and '{utc(at(LATER))}'"
        ).fetchall()[0][0]
    assert overlooked == []
    assert found == since > 0


EXPECTED = """
with
rounds as (
    select unnest(generate_series(
        timestamp '{first}', timestamp '{last}', interval 1 hour
    )) as moment
),
levels as (select * from (values {levels}) as l (level, after_seconds))
select c.ticket_id, c.clock, c.cycle, l.level, min(r.moment) as raised_at
from fct_ticket_clocks as c
cross join levels as l
inner join rounds as r
    on c.breached_at + to_seconds(l.after_seconds) <= r.moment
    and coalesce(c.stopped_at > r.moment, true)
where c.ticket_id not in (select ticket_id from fct_tickets where reopened_count > 0)
group by all
order by all
"""


@pytest.mark.slow
def test_a_week_hour_by_hour(
    fresh: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """168 rounds of the real flow: who had to be told is what one query over the clocks says
    that were known when the week was over, each once, at the first round after the moment."""
    hour_by_hour(fresh, tmp_path, monkeypatch, 168)


def hour_by_hour(
    fresh: Company, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    from flows.service import service
    from prefect.testing.utilities import prefect_test_harness

    settings = fresh.copy(tmp_path / "home")
    end = at(DAYS[-1])
    start = end - timedelta(hours=hours)
    refresh_once(settings, f"{start:%Y-%m-%dT%H:%M}", Steps(quiet=True))
    monkeypatch.setenv("CARELOOP_HOME", str(settings.home))
    monkeypatch.setenv("CARELOOP_SOURCES", json.dumps([str(path) for path in settings.sources]))
    moments = [start + timedelta(hours=n) for n in range(1, hours + 1)]
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
    steps = {s.id: duration_seconds(s.after) if s.after else 0 for s in PACK.sla.escalation}
    sql = EXPECTED.format(
        first=utc(moments[0]),
        last=utc(moments[-1]),
        levels=", ".join(f"('{level}', {seconds})" for level, seconds in steps.items()),
    )
    expected = rows(Path(fresh.summaries[-1]["published"]), sql)
    reopened = {
        ticket
        for (ticket,) in rows(
            Path(fresh.summaries[-1]["published"]),
            "select ticket_id from fct_tickets where reopened_count > 0",
        )
    }
    found = sorted(row for row in escalated(settings) if row[3] in steps and row[0] not in reopened)
    assert found == expected
    assert len(expected) > hours // 12
    keys = [row.decision_key for row in in_ledger(settings)]
    assert len(keys) == len(set(keys))


def escalated(settings: Settings) -> list[tuple]:
    """Every escalation of a ticket: ticket, clock, cycle, level, when it was raised (UTC)."""
    e = escalations.c
    with open_ledger(settings) as ledger, ledger.read() as con:
        found = con.execute(
            select(e.case_id, e.clock, e.cycle, e.level, e.raised_at).where(e.case_kind == "ticket")
        )
        return sorted(tuple(row) for row in found)
