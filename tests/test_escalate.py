"""Escalations: raised, updated, closed, told; once, on SQLite and on Postgres."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest
from aiosmtpd.controller import Controller
from benchmarks.dispatch_lab import FileChannel, Lab
from benchmarks.nursery import Nursery
from benchmarks.service_lab import STAFF, clocks_file, put_staff
from sqlalchemy import text
from typer.testing import CliRunner

from careloop.channels import robots
from careloop.channels.base import (
    ChannelDown,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.cli.main import app
from careloop.errors import CareloopError, SettingsError
from careloop.escalate import Alerted, Escalated, escalate, send_alerts
from careloop.escalate.alerts import check_alerts
from careloop.escalate.lists import COLUMNS, width
from careloop.escalate.staff import Person, Staff, read_staff
from careloop.ledger import mirror
from careloop.ledger.database import open_ledger, utc
from careloop.ledger.escalations import withdraw
from careloop.program.load import InvalidProgram, load_program
from careloop.settings import AlertSettings

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
# Monday, 2 November 2026, 10:00 in Shanghai: working time.
NOW = datetime(2026, 11, 2, 2, tzinfo=UTC)
AT = utc(NOW)


class Told:
    """A channel that keeps what it was given, or answers as it is told to."""

    def __init__(self, name: str, keyed: bool = False, *answers: Exception | None) -> None:
        self.name, self.accepts_idempotency_key = name, keyed
        self.sent: list[Rendered] = []
        self.answers = list(answers)

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def send(self, message: Rendered) -> Receipt:
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.sent.append(message)
        return Receipt("p1", "accepted")


class World:
    """A lab whose clocks are written by hand."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        put_staff(lab.settings)

    def escalate(self, clocks: list[dict[str, Any]], at: datetime = NOW, **more: Any) -> Escalated:
        file = clocks_file(self.lab.settings.home, clocks, **more)
        with open_ledger(self.lab.settings) as ledger:
            return escalate(self.lab.settings, self.lab.program, file, at, at, ledger)

    def alert(self, at: datetime = NOW, **channels: Any) -> Alerted:
        with open_ledger(self.lab.settings) as ledger:
            return send_alerts(
                self.lab.settings, self.lab.program, ledger, at, channels=channels or None
            )

    def rows(self, columns: str = "case_id, clock, level, state") -> list[tuple]:
        query = f"select {columns} from escalations order by case_id, clock, cycle, level, case_kind"
        return self.lab.rows(query)

    def everything(self) -> list[list[tuple]]:
        tables = ("escalations", "escalation_events", "alerts", "alert_items")
        return [self.lab.rows(f"select * from {name} order by 1, 2") for name in tables]


@pytest.fixture
def world(lab: Lab) -> World:
    return World(lab)


@pytest.fixture
def small(tmp_path: Path) -> World:
    """The same on SQLite only."""
    return World(Lab.at(tmp_path))


def ticket(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A complaint that is late for two hours."""
    return {
        "case_id": f"T{number}",
        "clock": "complaint_answer",
        "started_at": AT - 26 * HOUR,
        "breached_at": AT - 2 * HOUR,
        "due_at": AT - 2 * HOUR,
        "elapsed_seconds": 26 * 3600,
        "state": "breached",
    } | changes


def soon(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A complaint whose warning time came an hour ago."""
    return ticket(
        number,
        started_at=AT - 21 * HOUR,
        warn_on_at=AT - HOUR,
        due_at=AT + 3 * HOUR,
        breached_at=None,
        elapsed_seconds=21 * 3600,
        state="running",
    ) | changes


# -- raising -------------------------------------------------------------------------------------


def test_each_level_is_raised_when_its_time_has_come(world: World) -> None:
    done = world.escalate(
        [
            soon(1),
            soon(2, warn_on_at=AT + MINUTE),
            soon(3, warn_on_at=AT),
            ticket(4),
            ticket(5, breached_at=AT - 24 * HOUR),
            ticket(6, breached_at=AT - 24 * HOUR + MINUTE),
            soon(7, state="paused", warn_on_at=None, due_at=None),
            soon(8, state="paused"),
        ]
    )
    assert world.rows("case_id, level, role, staff_id") == [
        ("T1", "warning", "owner", "S1"),
        ("T3", "warning", "owner", "S1"),
        ("T4", "supervisor", "supervisor", "S8"),
        ("T5", "department", "department_head", "S9"),
        ("T5", "supervisor", "supervisor", "S8"),
        ("T6", "supervisor", "supervisor", "S8"),
    ]
    assert done == Escalated({"supervisor": 3, "department": 1, "warning": 2}, 0, 0, 0, 0, 6)
    kept = world.rows("customer_id, kind, urgency, owner_id, department, target, elapsed_seconds")
    assert kept[2] == ("C4", "complaint", "general", "S1", "service", "24h", 26 * 3600)


def test_the_same_round_twice_changes_nothing(world: World) -> None:
    clocks = [soon(1), ticket(2), ticket(3, breached_at=AT - 30 * HOUR)]
    assert world.escalate(clocks).changed == 4
    world.alert()
    before = world.everything()
    assert world.escalate(clocks) == Escalated({}, 0, 0, 0, 0, 4)
    assert world.alert() == Alerted(0, 0, 0, 0, 0, 0, 0, {})
    assert world.everything() == before


def test_what_goes_on_is_updated_and_never_repeated(world: World) -> None:
    world.escalate([ticket(1, breached_at=AT - 22 * HOUR)])
    for hour in range(1, 6):
        late = ticket(1, breached_at=AT - 22 * HOUR, owner_id="S2", elapsed_seconds=(26 + hour) * 3600)
        world.escalate([late], NOW + hour * HOUR)
    assert world.rows("level, owner_id, elapsed_seconds, state, staff_id") == [
        ("department", "S2", 31 * 3600, "open", "S9"),
        ("supervisor", "S2", 31 * 3600, "open", "S8"),
    ], "whose case it is moves, who was told doesn't"
    raised = [str(at)[:16] for (at,) in world.rows("raised_at")]
    assert raised == ["2026-11-02 04:00", "2026-11-02 02:00"]
    assert world.lab.rows("select count(*) from escalation_events") == [(2,)]


def test_a_clock_that_stops_closes_its_escalations(world: World) -> None:
    world.escalate([soon(1), ticket(2), ticket(3), ticket(4)])
    stopped = {"stopped_at": AT + 20 * MINUTE, "is_open": False}
    done = world.escalate(
        [
            soon(1, **stopped, state="met", elapsed_seconds=5),
            ticket(2, **stopped),
            ticket(3, is_open=False),
        ],
        NOW + HOUR,
    )
    assert (done.fulfilled, done.ended, done.open, done.raised) == (2, 2, 0, {})
    assert world.rows("case_id, state, closed_at, elapsed_seconds")[0][:2] == ("T1", "fulfilled")
    states = [(c, s, str(at)[11:16]) for c, s, at in world.rows("case_id, state, closed_at")]
    assert states == [
        ("T1", "fulfilled", "02:20"),
        ("T2", "fulfilled", "02:20"),
        ("T3", "ended", "03:00"),
        ("T4", "ended", "03:00"),
    ]
    assert world.escalate([ticket(2, **stopped)], NOW + 2 * HOUR).changed == 0


def test_a_clock_that_runs_again_opens_the_same_escalation(world: World) -> None:
    world.escalate([ticket(1)])
    world.alert()
    world.escalate([ticket(1, stopped_at=AT, is_open=False)], NOW + HOUR)
    older = world.escalate([ticket(1)], NOW)
    assert older.changed == 0, "an older file says nothing new"
    assert world.rows("state") == [("fulfilled",)]
    assert world.escalate([ticket(1)], NOW + 2 * HOUR).reopened == 1
    assert world.rows("state, closed_at") == [("open", None)]
    assert world.lab.rows("select state from escalation_events order by seq") == [
        ("open",),
        ("fulfilled",),
        ("open",),
    ]
    assert world.alert(NOW + 2 * HOUR).planned == 0, "nobody is told twice"


def test_old_data_raises_only_what_is_still_open(world: World) -> None:
    over = [
        ticket(n, breached_at=AT - 900 * HOUR, stopped_at=AT - 800 * HOUR, is_open=False)
        for n in range(50)
    ]
    done = world.escalate([*over, ticket(99, breached_at=AT - 2000 * HOUR)])
    assert done.raised == {"supervisor": 1, "department": 1}


def test_a_new_cycle_and_other_cases_are_told_apart(world: World) -> None:
    cases = [
        ticket(1, case_kind="order", case_id="T1", clock="survey_asked"),
        ticket(1, case_kind="customer", case_id="T1", clock="survey_asked"),
    ]
    world.escalate([ticket(1, cycle=1), ticket(1, cycle=2)], cases=cases)
    assert world.rows("case_kind, case_id, cycle, kind") == [
        ("ticket", "T1", 1, "complaint"),
        ("ticket", "T1", 2, "complaint"),
        ("customer", "T1", 1, None),
        ("order", "T1", 1, None),
    ]
    assert world.escalate([ticket(1, cycle=1)], NOW + HOUR, cases=None).ended == 1, (
        "a file without other cases says nothing of them"
    )


def test_a_file_without_clocks_is_refused(small: World, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "marts-x.duckdb")) as con:
        con.execute("create table dim_customers (customer_id varchar)")
    with open_ledger(small.lab.settings) as ledger, pytest.raises(CareloopError, match="no clocks"):
        escalate(
            small.lab.settings, small.lab.program, tmp_path / "marts-x.duckdb", NOW, NOW, ledger
        )


def test_withdrawn_escalations_stay_so(world: World) -> None:
    world.escalate([ticket(1), ticket(2)])
    name = world.rows("escalation_id")[0][0]
    with open_ledger(world.lab.settings) as ledger:
        assert withdraw(ledger, name[:8], "agreed with the customer", NOW) == (name, True)
        assert withdraw(ledger, name, "again", NOW) == (name, False)
        for wrong in ("T1", "abc", "f" * 32):
            with pytest.raises(SettingsError):
                withdraw(ledger, wrong, "x", NOW)
    world.escalate([ticket(1), ticket(2)], NOW + HOUR)
    assert world.rows("case_id, state") == [("T1", "withdrawn"), ("T2", "open")]
    told = Told("staff")
    world.alert(staff=told, team=Told("team"))
    assert all("T1" not in sent.text and "T2" in sent.text for sent in told.sent)
    assert world.lab.rows("select reason from escalation_events where state = 'withdrawn'") == [
        ("agreed with the customer",)
    ]


# -- whom ----------------------------------------------------------------------------------------

PEOPLE = [
    Person("S1", "service", "service", "S8"),
    Person("S2", "service", "service", "S7"),
    Person("S3", "service", "logistics", "S4", is_active=False),
    Person("S4", "supervisor", "logistics", "S9", is_active=False),
    Person("S5", "response_group", "technical"),
    Person("S6", "service", "lost", "S6", is_active=False),
    Person("S7", "supervisor", "service", "S7", is_active=False),
    Person("S8", "supervisor", "service"),
    Person("S9", "department_head", "service"),
    Person("SA", "department_head", None),
]


@pytest.mark.parametrize(
    ("role", "owner", "department", "told"),
    [
        ("owner", "S1", "service", "S1"),
        ("owner", "S3", "logistics", "S9"),
        ("owner", None, "service", "S8"),
        ("owner", "nobody", None, "S8"),
        ("owner", "S6", None, "S8"),
        ("supervisor", "S1", "technical", "S8"),
        ("supervisor", "S2", "service", "S8"),
        ("supervisor", "S3", None, "S9"),
        ("supervisor", None, "logistics", "S9"),
        ("supervisor", None, "technical", "S8"),
        ("supervisor", "S8", "service", "S9"),
        ("department_head", "S1", "service", "S9"),
        ("department_head", "S1", "technical", "SA"),
        ("response_group", None, "technical", "S5"),
        ("response_group", None, "service", None),
        ("service", "S2", "service", "S2"),
        ("service", "S3", "logistics", "S9"),
        ("automatic", "S1", "service", None),
    ],
)
def test_whom(role: str, owner: str | None, department: str | None, told: str | None) -> None:
    assert Staff(PEOPLE).told(role, owner, department) == told
    assert Staff(reversed(PEOPLE)).told(role, owner, department) == told


def test_without_staff_it_is_the_team(small: World) -> None:
    assert Staff([]).told("owner", "S1", "service") is None


def test_staff_are_read_from_the_lake(small: World) -> None:
    staff = read_staff(small.lab.settings)
    assert staff["S1"] == STAFF[0]
    assert "S1@" not in repr(staff["S1"]), "names and addresses stay out of logs"
