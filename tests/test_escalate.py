"""Escalations: raised, updated, closed, told; once, on SQLite and on Postgres."""

import asyncio
import json
import shutil
import socket
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
from sqlalchemy import create_engine, text
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
from careloop.ledger.escalations import BACKLOG, listed, withdraw
from careloop.program.load import InvalidProgram, load_program
from careloop.settings import PROJECT_ROOT, AlertSettings

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
    """A lab whose clocks are written by hand; without a digest unless a test asks for it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        put_staff(lab.settings)
        self.change(digest_at=None)

    def change(self, **alerts: Any) -> None:
        """Other alerts than the pack's."""
        program = self.lab.program
        alerts_of = program.alerts.model_copy(update=alerts)
        self.lab.program = program.model_copy(update={"alerts": alerts_of})

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
        query = (
            f"select {columns} from escalations order by case_id, clock, cycle, level, case_kind"
        )
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
    return (
        ticket(
            number,
            started_at=AT - 21 * HOUR,
            warn_on_at=AT - HOUR,
            due_at=AT + 3 * HOUR,
            breached_at=None,
            elapsed_seconds=21 * 3600,
            state="running",
        )
        | changes
    )


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
        late = ticket(
            1, breached_at=AT - 22 * HOUR, owner_id="S2", elapsed_seconds=(26 + hour) * 3600
        )
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


def test_what_stopped_unseen_is_known_from_the_last_refresh(world: World) -> None:
    world.escalate([ticket(1), ticket(2)])
    published = world.lab.settings.published
    published.mkdir()
    stopped = ticket(1, stopped_at=AT + MINUTE, is_open=False, elapsed_seconds=94_000)
    file = clocks_file(world.lab.settings.home, [stopped, ticket(2)])
    file.rename(published / "marts-20261103T0000-1.duckdb")
    (published / "marts.duckdb").symlink_to("marts-20261103T0000-1.duckdb")
    assert world.escalate([], NOW + 30 * HOUR).fulfilled == 1
    assert world.rows("case_id, state, elapsed_seconds") == [
        ("T1", "fulfilled", 94_000),
        ("T2", "ended", 26 * 3600),
    ]


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


def test_what_was_late_long_before_is_backlog(world: World) -> None:
    old = ticket(1, breached_at=AT - 900 * HOUR, urgency="urgent")
    newer = ticket(2, breached_at=AT - 60 * HOUR)
    done = world.escalate([old, newer, ticket(3), soon(4)])
    assert done.raised == {"supervisor": 3, "department": 2, "warning": 1}
    assert done.backlog == 3
    assert world.rows("case_id, level, found") == [
        ("T1", "department", "backlog"),
        ("T1", "supervisor", "backlog"),
        ("T2", "department", None),
        ("T2", "supervisor", "backlog"),
        ("T3", "supervisor", None),
        ("T4", "warning", None),
    ], "of a case that goes on each level is judged by when it was reached"
    with open_ledger(world.lab.settings) as ledger, ledger.read() as con:
        shown = {s: {row.case_id for row in listed(con, s, None)} for s in ("open", BACKLOG)}
    assert shown == {"open": {"T2", "T3", "T4"}, BACKLOG: {"T1", "T2"}}
    later = world.escalate([old, newer, ticket(3, breached_at=AT - 2 * HOUR)], NOW + 30 * HOUR)
    assert later.raised == {"department": 1}
    assert later.backlog == 0, "what comes up between two rounds is told case by case"


def test_what_was_missed_and_done_between_rounds_is_recorded_once(world: World) -> None:
    before = ticket(1, stopped_at=AT - MINUTE, is_open=False)
    unseen = ticket(5, stopped_at=AT + MINUTE, is_open=False)
    assert world.escalate([before]) == Escalated({}, 0, 0, 0, 0, 0), "nobody looked then"
    between = [
        ticket(2, breached_at=AT + 10 * MINUTE, stopped_at=AT + 40 * MINUTE, is_open=False),
        ticket(3, breached_at=None, stopped_at=AT + 40 * MINUTE, is_open=False, state="met"),
        ticket(4, breached_at=AT + 10 * MINUTE, is_open=False),
        unseen,
    ]
    done = world.escalate([before, *between], NOW + HOUR)
    assert done == Escalated({}, 0, 0, 0, 0, 0, 0, 1)
    assert world.rows("case_id, level, state, found") == [("T2", "supervisor", "fulfilled", "over")]
    times = [str(at)[11:16] for row in world.rows("raised_at, closed_at") for at in row]
    assert times == ["03:00", "02:40"]
    assert world.lab.rows("select state, reason from escalation_events") == [("fulfilled", "over")]
    assert world.escalate([before, *between], NOW + HOUR).changed == 0
    assert world.escalate([before, *between], NOW + 2 * HOUR).changed == 0, "nor opened again"


def test_what_was_done_while_nobody_looked_is_known_from_the_last_refresh(world: World) -> None:
    world.escalate([])
    published = world.lab.settings.published
    published.mkdir()
    stopped = {"breached_at": AT + MINUTE, "stopped_at": AT + HOUR, "is_open": False}
    file = clocks_file(world.lab.settings.home, [ticket(1, **stopped), ticket(2, **stopped)])
    file.rename(published / "marts-20261103T0000-1.duckdb")
    (published / "marts.duckdb").symlink_to("marts-20261103T0000-1.duckdb")
    assert world.escalate([ticket(2)], NOW + 20 * HOUR).over == 1, "T2 was taken up again"
    assert world.rows("case_id, level, state") == [
        ("T1", "supervisor", "fulfilled"),
        ("T2", "supervisor", "open"),
    ]
    assert world.escalate([ticket(3, **stopped)], NOW + 80 * HOUR).over == 0, "too long ago"


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


# -- telling -------------------------------------------------------------------------------------


def test_everyone_hears_once_grouped_by_owner(world: World) -> None:
    world.escalate(
        [
            soon(1),
            ticket(2, owner_id="S2"),
            ticket(3, urgency="urgent", breached_at=AT - 25 * HOUR),
            ticket(4, owner_id=None),
        ]
    )
    staff, team = Told("staff"), Told("team")
    done = world.alert(staff=staff, team=team)
    assert (done.planned, done.sent) == (5, 5)
    by = {message.owner_id: message for message in staff.sent}
    assert sorted(by) == ["S1", "S2", "S8", "S9"]
    assert {who: m.address for who, m in by.items()}["S8"] == "s8@example.com"
    cases = {who: [n for n in range(1, 5) if f"T{n} " in m.text] for who, m in by.items()}
    assert cases == {"S1": [1, 3], "S2": [2], "S8": [2, 3, 4], "S9": [3]}
    assert [n for n in range(1, 5) if f"T{n} " in team.sent[0].text] == [3, 4]
    text = by["S8"].text
    heads = [line for line in text.splitlines() if " · " in line and not line.startswith(" ")]
    assert heads == ["未分配负责人 · 1 件", "S1 宋丹 · 1 件", "S2 郑艳 · 1 件"]
    assert by["S8"].subject == "服务提醒：逾期 3 件，即将到期 0 件"
    assert world.alert(NOW + MINUTE, staff=staff, team=team).planned == 0
    kept = str(world.everything())
    assert "宋丹" not in kept
    assert "example.com" not in kept, "names and addresses are not kept"
    assert world.lab.rows("select count(*) from escalations where alert_id is null") == [(0,)]


def test_who_has_no_address_is_told_through_the_team(small: World) -> None:
    small.escalate([soon(1, owner_id=None, department=None), soon(2, owner_id="S1")])
    put_staff(small.lab.settings, [replace(p, email="none") for p in STAFF])
    staff, team = Told("staff"), Told("team")
    small.alert(staff=staff, team=team)
    assert staff.sent == []
    assert [m.text.count("- T") for m in team.sent] == [2]


def test_outside_working_hours_only_urgent_cases_are_told(small: World) -> None:
    night = datetime(2026, 11, 2, 14, tzinfo=UTC)
    small.escalate([ticket(1), ticket(2, urgency="urgent")], night)
    staff, team = Told("staff"), Told("team")
    done = small.alert(night, staff=staff, team=team)
    assert done.waiting == 1
    assert all("T2" in m.text and "T1" not in m.text for m in staff.sent)
    small.escalate([ticket(2, urgency="urgent")], night + HOUR)
    assert small.alert(datetime(2026, 11, 3, 0, 50, tzinfo=UTC)).planned == 0, "08:50"
    assert not any("T1" in m.text for m in staff.sent), "what is over by then is never told"


def test_the_digest_tells_again_once_each_working_day(small: World) -> None:
    small.change(digest_at="09:30")
    small.escalate([ticket(1), soon(2)], NOW - HOUR)
    first, day = Told("staff"), datetime(2026, 11, 2, 1, 10, tzinfo=UTC)
    small.alert(day, staff=first, team=Told("team"))
    small.escalate([ticket(1), soon(2), ticket(3)], NOW)
    digest = Told("staff")
    assert small.alert(NOW, staff=digest, team=Told("team")).planned == 2
    assert {m.owner_id: m.subject[:5] for m in digest.sent} == {
        "S1": "今日待处理",
        "S8": "今日待处理",
    }
    assert "T1 " in digest.sent[0].text
    assert "T3 " in digest.sent[0].text, "what is new is part of it"
    assert small.alert(NOW + HOUR, staff=digest, team=Told("team")).planned == 0
    saturday = datetime(2026, 11, 7, 3, tzinfo=UTC)
    open_then = small.alert(saturday, staff=digest, team=Told("team")).planned
    assert open_then == (2 if small.lab.program.calendar.hours.get("sat") else 0)


def test_the_backlog_is_counted_per_owner(small: World) -> None:
    old = [ticket(n, breached_at=AT - (90 + n) * 24 * HOUR, urgency="urgent") for n in (1, 2)]
    old.append(ticket(3, breached_at=AT - 50 * HOUR, owner_id="S2", urgency="urgent"))
    small.escalate([*old, ticket(4)])
    night = datetime(2026, 11, 2, 18, tzinfo=UTC)
    asleep = small.alert(night, staff=Told("staff"), team=Told("team"))
    assert asleep.planned == 2, "of T3 the head of department and the team: that is new"
    staff = Told("staff")
    small.alert(NOW + 24 * HOUR, staff=staff, team=Told("team"))
    by = {message.owner_id: message for message in staff.sent}
    text = by["S8"].text
    assert by["S8"].subject == "服务提醒：逾期 1 件，即将到期 0 件，积压 3 件"
    assert "T4 " in text
    assert not any(f"T{n} " in text for n in (1, 2, 3))
    assert text.splitlines()[-6:-2] == [
        "积压：首次发现时早已逾期，仅列数量",
        "S1 宋丹 · 2 件，最早自 2026-08-02 起逾期",
        "S2 郑艳 · 1 件，最早自 2026-10-31 起逾期",
        "明细：careloop escalations --state backlog",
    ]
    assert "S1 宋丹 · 2 件" in by["S8"].html
    assert by["S2"].subject.endswith("积压 1 件"), "whose cases they are hears too, by number"
    again = small.alert(NOW + 25 * HOUR, staff=staff, team=Told("team"))
    assert again.planned == 0


def test_what_was_done_late_is_listed_once_with_the_next_list(small: World) -> None:
    small.change(digest_at="09:30")
    small.escalate([])
    done = ticket(
        1,
        breached_at=AT + 10 * MINUTE,
        stopped_at=AT + 40 * MINUTE,
        is_open=False,
        urgency="urgent",
    )
    small.alert(NOW, staff=Told("staff"), team=Told("team"))
    small.escalate([done], NOW + HOUR)
    small.change(digest_at=None)
    assert small.alert(NOW + HOUR, staff=Told("staff"), team=Told("team")).planned == 0
    small.change(digest_at="09:30")
    tuesday, wednesday = Told("staff"), Told("staff")
    small.alert(NOW + 24 * HOUR, staff=tuesday, team=Told("team"))
    assert [m.owner_id for m in tuesday.sent] == ["S8"]
    assert tuesday.sent[0].subject == "今日待处理：逾期 0 件，即将到期 0 件，逾期后已办结 1 件"
    assert "T1 · 投诉，紧急" in tuesday.sent[0].text
    assert "逾期 11-02 10:10，办结 11-02 10:40" in tuesday.sent[0].text
    small.alert(NOW + 48 * HOUR, staff=wednesday, team=Told("team"))
    assert not wednesday.sent


def test_what_failed_is_tried_again_and_what_is_unknown_is_not(small: World) -> None:
    small.escalate([soon(1)])
    down = Told("staff", False, ChannelDown("resting"), TemporaryError("busy"))
    assert small.alert(staff=down, team=Told("team")).resting == {"staff": "resting"}
    assert small.lab.rows("select state, failures from alerts") == [("planned", 0)]
    assert small.alert(staff=down, team=Told("team")).failed == 1
    assert small.lab.rows("select state, attempts, failures from alerts") == [("failed", 2, 1)]
    assert small.alert(staff=down, team=Told("team")).sent == 1
    assert len(down.sent) == 1
    small.escalate([soon(1), soon(2)], NOW + MINUTE)
    silent = Told("staff", False, UnknownOutcome("no answer"))
    assert small.alert(NOW + MINUTE, staff=silent, team=Told("team")).unknown == 1
    assert small.alert(NOW + MINUTE, staff=silent, team=Told("team")).sent == 0
    small.escalate([soon(1), soon(2), soon(3)], NOW + 2 * MINUTE)
    keyed = Told("staff", True, UnknownOutcome("no answer"))
    small.alert(NOW + 2 * MINUTE, staff=keyed, team=Told("team"))
    assert small.alert(NOW + 2 * MINUTE, staff=keyed, team=Told("team")).sent == 1


def test_giving_up_after_as_many_tries_as_the_channel_has(small: World) -> None:
    small.escalate([soon(1)])
    never = Told("staff", False, *[PermanentError("no") for _ in range(9)])
    done = [small.alert(staff=never, team=Told("team")) for _ in range(7)]
    assert [(d.failed, d.given_up) for d in done] == [(1, 0)] * 4 + [(0, 1), (0, 0), (0, 0)]


def test_killed_between_intent_and_sent(lab: Lab, nursery: Nursery) -> None:
    world = World(lab)
    clocks_file(lab.settings.home, [soon(1), ticket(2, breached_at=AT - 25 * HOUR)])
    assert nursery.run(lab, "die-escalate", NOW, [None]) == [-9]
    states = dict(lab.rows("select state, count(*) from alerts group by state"))
    assert states == {"sending": 1, "planned": 3}
    assert nursery.run(lab, "die-escalate", NOW, [None]) == [-9], "of the next list"
    while "planned" in dict(lab.rows("select state, 1 from alerts")):
        nursery.run(lab, "escalate", NOW, [None])
    world.escalate([soon(1), ticket(2, breached_at=AT - 25 * HOUR)])
    received = FileChannel(lab.settings.home / "received", "team", recognises=False).received
    assert len(received) <= 1, "the team's robot recognises nothing"
    mails = FileChannel(lab.settings.home / "received", "staff", recognises=True).received
    assert len(set(mails)) == 3, "everybody's list came"
    assert lab.rows("select count(*), count(distinct escalation_id) from escalations") == [(3, 3)]


def test_two_processes_at_once_raise_and_tell_once(lab: Lab, nursery: Nursery) -> None:
    World(lab)
    many = [ticket(n, breached_at=AT - 25 * HOUR, owner_id=f"S{n % 3}") for n in range(300)]
    clocks_file(lab.settings.home, many)
    assert nursery.run(lab, "escalate", NOW, [None] * 3) == [0, 0, 0]
    assert lab.rows("select count(*) from escalations") == [(600,)]
    assert lab.rows("select count(*) from escalation_events") == [(600,)]
    for name in ("staff", "team"):
        got = FileChannel(lab.settings.home / "received", name, recognises=True).received
        assert len(got) == len(set(got)) > 0
    assert lab.rows("select distinct state from alerts") == [("sent",)]


# -- what it says --------------------------------------------------------------------------------


def test_texts_fit_eighty_columns_in_both_languages(small: World) -> None:
    many = [
        soon(n, case_id=f"TICKET-2026-{n:06}", clock="complex_solved", urgency="urgent")
        for n in range(40)
    ]
    small.escalate([*many, ticket(77, kind="<b>&odd", due_at=None, breached_at=AT - HOUR)])
    chinese = Told("staff")
    small.alert(staff=chinese, team=Told("team"))
    small.escalate([*many, *[soon(100 + n) for n in range(40)]], NOW + MINUTE)
    small.lab.program = small.lab.program.model_copy(update={"locales": ["en"]})
    english = Told("staff")
    small.alert(NOW + MINUTE, staff=english, team=Told("team"))
    for message in chinese.sent + english.sent:
        assert max(map(width, message.text.splitlines())) <= COLUMNS
    assert "…… 另有 11 件" in chinese.sent[0].text
    assert "and 10 more" in english.sent[0].text
    assert english.sent[0].subject == "Service: 0 late, 40 due soon"
    assert "due 11-02 13:00" in english.sent[0].text
    html = chinese.sent[-1].html
    assert "&lt;b&gt;&amp;odd" in html
    assert "<b>" not in html
    assert 'lang="zh-CN"' in chinese.sent[0].html
    assert 'lang="en"' in english.sent[0].html


def test_what_is_late_since_another_year_says_which(small: World) -> None:
    small.escalate([ticket(1, breached_at=AT - 365 * 24 * HOUR), ticket(2, breached_at=AT - HOUR)])
    people = Told("staff")
    small.alert(staff=people, team=Told("team"))
    text = "\n".join(message.text for message in people.sent)
    assert "自 2025-11-0" in text
    assert "自 11-0" in text


def test_a_case_stands_once_with_its_highest_level(small: World) -> None:
    small.escalate([soon(1)], NOW - HOUR)
    small.escalate([ticket(1, breached_at=AT - 25 * HOUR)])
    small.change(most_rows=1)
    staff = Told("staff")
    small.alert(staff=staff, team=Told("team"))
    assert all(m.text.count("T1 ") == 1 for m in staff.sent)
    assert "部门负责人" in staff.sent[-1].text


# -- real servers --------------------------------------------------------------------------------


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, _server, _session, envelope):
        self.mails.append((envelope.rcpt_tos, message_from_bytes(envelope.content, policy=policy.default)))  # fmt: skip
        await asyncio.sleep(0)
        return "250 OK queued as A1"


@pytest.fixture
def robot() -> Iterator[tuple[str, list[tuple[str, dict]], list[dict]]]:
    """An HTTP receiver: its address, what came (path, body), and its next answers."""
    came: list[tuple[str, dict]] = []
    answers: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, json.loads(content)))
            body = json.dumps(answers.pop(0) if answers else {"errcode": 0, "errmsg": "ok"})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/robot?key=k1", came, answers
    server.shutdown()


def test_by_mail_and_by_a_wecom_robot(
    small: World, robot: tuple[str, list, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, came, answers = robot
    monkeypatch.setenv("CARELOOP_CHANNEL_TEAM_URL", url)
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        small.lab.settings = small.lab.settings.model_copy(
            update={
                "channels": {
                    "staff": {
                        "type": "smtp",
                        "host": "127.0.0.1",
                        "port": port,
                        "security": "none",
                        "from_address": "careloop@example.com",
                    },
                    "team": {"type": "webhook", "shape": "wecom_robot"},
                }
            }
        )
        small.escalate([ticket(n, breached_at=AT - 25 * HOUR) for n in range(60)])
        answers.append({"errcode": 45009, "errmsg": "api freq out of limit"})
        done = small.alert()
        assert (done.sent, list(done.resting)) == (3, ["team"])
        assert small.alert().sent == 1
    finally:
        server.stop()
    assert sorted(to[0] for to, _ in mailbox.mails) == [
        "s1@example.com",
        "s8@example.com",
        "s9@example.com",
    ]
    mail = mailbox.mails[0][1]
    assert mail["Subject"] == "服务提醒：逾期 60 件，即将到期 0 件"
    assert mail.get_body(("html",)).get_content().startswith("<!doctype html>")
    assert "S1 宋丹" in mail.get_body(("plain",)).get_content()
    path, posted = came[-1]
    assert path == "/robot?key=k1"
    assert posted["msgtype"] == "text"
    assert len(posted["text"]["content"].encode()) <= 2048
    assert posted["text"]["content"].startswith("服务提醒")


def test_robots_of_dingtalk_and_feishu_are_signed(
    small: World, robot: tuple[str, list, list], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, came, answers = robot
    monkeypatch.setenv("CARELOOP_CHANNEL_TEAM_URL", url)
    monkeypatch.setenv("CARELOOP_CHANNEL_TEAM_SECRET", "SEC1")
    small.escalate([ticket(1, breached_at=AT - 25 * HOUR)])
    for shape, answer in (("dingtalk_robot", {"errcode": 310000}), ("feishu_robot", {"code": 0})):
        team = {"team": {"type": "webhook", "shape": shape}}
        small.lab.settings = small.lab.settings.model_copy(update={"channels": team})
        answers.append(answer)
        small.alert()
    stamp = int(NOW.timestamp())
    assert came[0][0] == robots.signed_url("/robot?key=k1", "SEC1", stamp)
    assert came[0][0].startswith(f"/robot?key=k1&timestamp={stamp}000&sign=")
    assert came[1][1]["msg_type"] == "text"
    assert came[1][1]["timestamp"] == str(stamp)
    assert came[1][1]["sign"] == robots.signed_fields("SEC1", stamp)["sign"]
    assert small.lab.rows("select state from alerts where staff_id is null") == [("sent",)]


def test_what_a_robots_answer_means() -> None:
    assert robots.accepted({"StatusCode": 0}).detail == "accepted"
    for answer, error in [
        ({"errcode": 45009}, ChannelDown),
        ({"code": 19021}, ChannelDown),
        ({"errcode": 40058}, PermanentError),
        ({}, UnknownOutcome),
        ("no JSON", UnknownOutcome),
    ]:
        with pytest.raises(error):
            robots.accepted(answer)
    assert robots.fitting("一\n二\n三", 9) == "一\n…"
    assert robots.fitting("一二三四", 9) == "一二…"


def test_nothing_configured_is_a_dry_run(small: World) -> None:
    small.escalate([ticket(1, breached_at=AT - 25 * HOUR)])
    assert small.alert().sent == 4
    outbox = small.lab.settings.home / "outbox"
    lines = (outbox / "staff" / "2026-11-02.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["owner_id"] for line in lines} == {"S1", "S8", "S9"}
    assert len((outbox / "team" / "2026-11-02.jsonl").read_text("utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("alerts", "channels", "said"),
    [
        ({"people": "team"}, {"team": {"type": "apprise"}}, "no addresses of people"),
        ({"team": "email"}, {"email": {"type": "smtp", "host": "localhost", "from_address": "a@example.com"}}, "team_address"),
        ({"team": "visit"}, {}, "list of tasks"),
        ({"people": "letters"}, {}, "no channel letters"),
    ],
)  # fmt: skip
def test_channels_that_cannot_be_used_are_refused(
    small: World, alerts: dict, channels: dict, said: str
) -> None:
    changes = {"alerts": AlertSettings(**alerts), "channels": channels}
    with pytest.raises(SettingsError, match=said):
        check_alerts(small.lab.settings.model_copy(update=changes))


# -- ledger, mirror, pack ------------------------------------------------------------------------


def test_a_ledger_of_the_first_release_gets_the_new_tables(lab: Lab) -> None:
    lab.plan(lab.version(20))
    before = lab.rows("select * from messages order by seq")
    url = lab.settings.ledger_url or f"sqlite:///{lab.settings.home / 'ledger.db'}"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as con:
        for name in ("alert_items", "alerts", "escalation_events", "escalations"):
            con.execute(text(f"drop table {name}"))
        con.execute(text("update ledger_meta set value = '1' where name = 'schema_version'"))
    engine.dispose()
    assert not lab.open_at_once()
    assert lab.rows("select value from ledger_meta where name = 'schema_version'") == [("3",)]
    assert lab.rows("select * from messages order by seq") == before
    world = World(lab)
    assert world.escalate([ticket(1)]).raised == {"supervisor": 1}


def test_a_ledger_of_the_second_schema_gets_the_new_column(world: World) -> None:
    world.escalate([ticket(1)])
    lab = world.lab
    url = lab.settings.ledger_url or f"sqlite:///{lab.settings.home / 'ledger.db'}"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as con:
        con.execute(text("alter table escalations drop column found"))
        con.execute(text("update ledger_meta set value = '2' where name = 'schema_version'"))
    engine.dispose()
    assert world.escalate([ticket(1), ticket(2, breached_at=AT - 900 * HOUR)]).backlog == 2
    assert world.rows("case_id, level, found") == [
        ("T1", "supervisor", None),
        ("T2", "department", "backlog"),
        ("T2", "supervisor", "backlog"),
    ]


def test_an_upgrade_takes_no_table_that_is_there(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    lab.rows("select 1")
    with create_engine(f"sqlite:///{tmp_path / 'ledger.db'}").begin() as con:
        con.execute(text("update ledger_meta set value = '1' where name = 'schema_version'"))
    with pytest.raises(SettingsError, match="not careloop's: alert_items, alerts"):
        lab.rows("select 1")


def test_the_warehouse_sees_escalations_and_their_changes(world: World) -> None:
    world.escalate([ticket(1), ticket(2)])
    first = warehouse(world.lab)
    assert first.execute("select count(*) from ledger.escalations").fetchall() == [(2,)]
    world.escalate([ticket(1, stopped_at=AT + MINUTE, is_open=False), ticket(2)], NOW + HOUR)
    con = warehouse(world.lab)
    last = con.execute(
        "select case_id, arg_max(e.state, seq), max(at_utc)::varchar from ledger.escalations "
        "inner join ledger.escalation_events as e using (escalation_id) group by 1 order by 1"
    )
    assert last.fetchall() == [
        ("T1", "fulfilled", "2026-11-02 02:01:00"),
        ("T2", "open", "2026-11-02 02:00:00"),
    ]
    names = ("escalations", "escalation_events")
    assert [len(mirror.files(world.lab.settings, name)) for name in names] == [1, 2]


def warehouse(lab: Lab) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("create schema raw")
    con.execute("create table raw.contacts (customer_id varchar, phone varchar, email varchar, "
                "wecom_id varchar, push_token varchar)")  # fmt: skip
    mirror.write_ledger(con, lab.settings)
    return con


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("level: warning, tell", "level: nobody, tell", "is no level of escalation"),
        ("level: department, tell", "level: warning, tell", "stands there twice"),
        ("level: warning, tell: [told]", "level: warning, tell: [told, told]", "twice"),
        ("level: warning, tell: [told]", "level: warning, tell: [boss]", "told"),
        ("backlog_after: 2d", "backlog_after: 2wd", "must be in real time"),
        ("digest_at: 09:30", "digest_at: 25:00", "is not a time of day"),
        ("most_rows: 30", "most_rows: 0", "most_rows"),
        ("id: supervisor, to:", "id: warning, to:", "level before a target is missed"),
        ("after: 24h, to: department", "after: 2wd, to: department", "must be in real time"),
    ],
)
def test_what_a_pack_may_say_of_alerts(tmp_path: Path, old: str, new: str, said: str) -> None:
    shutil.copytree(PROJECT_ROOT / "programs", tmp_path / "programs")
    file = tmp_path / "programs" / "retail_care" / "program.yml"
    content = file.read_text("utf-8")
    assert content.count(old) == 1
    file.write_text(content.replace(old, new), "utf-8")
    with pytest.raises(InvalidProgram, match=said):
        load_program(str(file.parent))


# -- command line --------------------------------------------------------------------------------


def careloop(world: World, *arguments: str) -> str:
    more = ["--home", str(world.lab.settings.home)]
    result = CliRunner().invoke(app, [*arguments, *more])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert max(map(width, result.output.splitlines())) <= 100
    return result.output


def test_listing_and_withdrawing(small: World) -> None:
    small.escalate([soon(1), ticket(2, owner_id="S2"), ticket(3, breached_at=AT - 25 * HOUR)])
    shown = careloop(small, "escalations")
    assert [shown.count(word) for word in ("T1", "T2", "T3")] == [1, 1, 2]
    assert "投诉响应" in shown
    assert "T1" not in careloop(small, "escalations", "--owner", "S2")
    found = json.loads(careloop(small, "escalations", "--json"))
    assert {row["state"] for row in found} == {"open"}
    name = next(row["escalation_id"] for row in found if row["case_id"] == "T2")
    said = careloop(small, "escalations", "withdraw", name[:10], "--reason", "settled by phone")
    assert said == f"{name[:12]}: withdrawn\n"
    assert "no escalations" in careloop(small, "escalations", "--owner", "S2")
    everything = careloop(small, "escalations", "--state", "all")
    assert "已撤销" in everything
    with pytest.raises(SettingsError, match="there is no state late"):
        careloop(small, "escalations", "--state", "late")
    with pytest.raises(SettingsError, match="empty"):
        careloop(small, "escalations", "withdraw", name, "--reason", " ")


def test_what_is_due(small: World) -> None:
    with pytest.raises(SettingsError, match="there are no clocks"):
        careloop(small, "service", "due")
    clocks = [
        soon(1),
        soon(2, due_at=AT + 9 * HOUR),
        soon(3, state="paused", due_at=None),
        ticket(4, owner_id="S2"),
        ticket(5, is_open=False, stopped_at=AT),
    ]
    clocks_file(small.lab.settings.home, clocks, name="20261101T1000-service")
    clocks_file(small.lab.settings.home, [soon(9)], name="20261031T2300-service")
    shown = careloop(small, "service", "due", "--hours", "3")
    assert "1 late, 0 due within 3 h, as of 2026-11-01 10:00" in shown
    clocks_file(small.lab.settings.home, clocks, name="20261102T1000-service")
    shown = careloop(small, "service", "due")
    assert "1 late, 1 due within 8 h, as of 2026-11-02 10:00" in shown
    found = json.loads(careloop(small, "service", "due", "--hours", "10", "--json"))
    assert [row["case_id"] for row in found["due"]] == ["T1", "T2", "T4"]
    only = json.loads(careloop(small, "service", "due", "--owner", "S2", "--json"))
    assert [row["case_id"] for row in only["due"]] == ["T4"]


def test_the_course_of_a_case_is_shown(small: World) -> None:
    small.escalate([ticket(1), ticket(2, breached_at=AT - 900 * HOUR)])
    small.alert(staff=Told("staff"), team=Told("team"))
    small.escalate([ticket(1, stopped_at=AT + MINUTE, is_open=False)], NOW + HOUR)
    shown = careloop(small, "escalations", "show", "T1")
    assert "截止 2026-11-02 08:00，逾期自 2026-11-02 08:00" in shown
    assert [line.split()[3:] for line in shown.splitlines() if line.startswith(" 2026")] == [
        ["主管", "升级", "S8"],
        ["主管", "清单", "S1", "已发送"],
        ["主管", "清单", "S8", "已发送"],
        ["主管", "已完成", "S8"],
    ]
    assert "首次发现时早已逾期" in careloop(small, "escalations", "show", "T2")
    found = json.loads(careloop(small, "escalations", "show", "T1", "--json"))
    assert [row["what"] for row in found] == ["open", "raised", "raised", "fulfilled"]
    assert "宋丹" not in shown, "ids only"
