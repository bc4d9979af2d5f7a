"""Incidents against a loop over tickets that follows the definition word by word."""

import datetime as dt
import random
from typing import Any

import duckdb
import pytest

from careloop.program.load import load_program
from careloop.program.service import Emergency, EmergencyStep
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.warehouse import rows_of
from jinja_sql import Models

AS_OF = dt.datetime(2026, 6, 20)
START = dt.datetime(2026, 6, 1)
PACK = load_program("service_desk", PROJECT_ROOT / "programs")
TICKETS = (
    "ticket_id varchar, customer_id varchar, kind varchar, department varchar, "
    "opened_at timestamp, acknowledged_at timestamp, first_response_at timestamp"
)
MODELS = ("int_incident_tickets", "int_incidents", "fct_incidents", "fct_incident_steps")


def _found(
    emergency: dict[str, Any], tickets: list[dict], events: list[tuple], as_of: dt.datetime = AS_OF
) -> tuple[list[dict], list[dict], set[tuple]]:
    """Incidents, steps, and (incident, ticket) by the models."""
    con = duckdb.connect()
    for schema in ("run", "staging", "intermediate", "marts"):
        con.execute(f"create schema {schema}")
    playbook = Emergency.model_validate({**PACK.emergency.model_dump(), **emergency})
    pack = PACK.model_copy(update={"emergency": playbook})
    write_program_tables(con, pack, as_of.date(), as_of.date() + dt.timedelta(days=3))
    con.execute(
        "create table run.context as select ?::timestamp as as_of_utc, 'Asia/Shanghai' as zone",
        [as_of],
    )
    con.execute(f"create table staging.stg_tickets ({TICKETS})")
    names = [column.split()[0] for column in TICKETS.split(", ")]
    con.executemany(
        "insert into staging.stg_tickets values (?, ?, ?, ?, ?, ?, ?)",
        [[t.get(name) for name in names] for t in tickets],
    )
    con.execute(
        "create table staging.stg_ticket_events "
        "(ticket_id varchar, began_at timestamp, status varchar, actor_id varchar)"
    )
    if events:
        con.executemany("insert into staging.stg_ticket_events values (?, ?, ?, ?)", events)
    Models(DBT_PROJECT, con).run(*MODELS)
    pairs = "select incident_id, ticket_id from intermediate.int_incident_tickets"
    return (
        _rows(con, "from marts.fct_incidents order by began_at"),
        _rows(con, "from marts.fct_incident_steps order by incident_id, step_no"),
        set(con.execute(pairs).fetchall()),
    )


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return rows_of(con, query)


def _expected(
    kinds: list[str], least: int, window: dt.timedelta, tickets: list[dict], events: list[tuple]
) -> list[dict[str, Any]]:
    """One after the other: at each ticket, how many came in within the window up to it?"""
    trigger = sorted(
        (t for t in tickets if t["kind"] in kinds), key=lambda t: (t["opened_at"], t["ticket_id"])
    )
    spans: list[list[dt.datetime]] = []
    for i, ticket in enumerate(trigger):
        now = ticket["opened_at"]
        if sum(now - window <= t["opened_at"] for t in trigger[: i + 1]) < least:
            continue
        if spans and now - spans[-1][1] <= window:
            spans[-1][1] = now
        else:
            spans.append([now, now])
    found = []
    for began, last in spans:
        its = [t for t in trigger if began - window <= t["opened_at"] <= last]
        ids = {t["ticket_id"] for t in its}
        work = [t[name] for t in its for name in ("acknowledged_at", "first_response_at")]
        work += [when for ticket, when, _, actor in events if ticket in ids and actor]
        work = [when for when in work if when and when >= began]
        departments = [t["department"] for t in its if t["department"]]
        found.append(
            {
                "began_at": began,
                "last_ticket_at": last,
                "first_ticket_at": its[0]["opened_at"],
                "over_at": last + window if last + window < AS_OF else None,
                "tickets": len(its),
                "customers": len({t["customer_id"] for t in its} - {None}),
                "started_at": min(work, default=None),
                "department": min(
                    set(departments), key=lambda d: (-departments.count(d), d), default=None
                ),
                "ids": ids,
            }
        )
    return found


def _history(rng: random.Random) -> tuple[list[dict], list[tuple]]:
    """Tickets at a trickle with bursts, many at the same moment or a window apart."""
    moments = [START + dt.timedelta(minutes=rng.randrange(19 * 1440)) for _ in range(120)]
    for _ in range(12):
        burst = START + dt.timedelta(minutes=rng.randrange(19 * 1440))
        moments += [
            burst + dt.timedelta(minutes=rng.choice((0, 1, 5, 10, 30, 60, 61, 90)))
            for _ in range(rng.randint(6, 14))
        ]
    moments += [AS_OF - dt.timedelta(minutes=m) for m in (60, 60, 30, 0, 0)]
    later = lambda at: rng.choice(  # noqa: E731
        (None, at + dt.timedelta(minutes=rng.randrange(200)))
    )
    tickets, events = [], []
    for i, at in enumerate(moments):
        tickets.append(
            {
                "ticket_id": f"t{rng.random()}",
                "customer_id": rng.choice((None, f"c{rng.randrange(20)}", f"c{i}")),
                "kind": rng.choice(("fault", "fault", "outage", "complaint", None)),
                "department": rng.choice((None, "service", "it")),
                "opened_at": at,
                "acknowledged_at": later(at),
                "first_response_at": later(at),
            }
        )
        actor = rng.choice((None, "s1"))
        if when := later(at):
            events.append((tickets[-1]["ticket_id"], when, "pending", actor))
    return tickets, events


@pytest.mark.parametrize("seed", range(25))
def test_incidents_are_those_of_the_definition(seed: int) -> None:
    rng = random.Random(seed)
    tickets, events = _history(rng)
    least, minutes = rng.choice((1, 2, 3)), rng.choice((10, 30, 60))
    kinds = rng.choice((["fault"], ["fault", "outage"]))
    emergency = {"trigger_kinds": kinds, "min_tickets": least, "in_window": f"{minutes}m"}
    incidents, steps, pairs = _found(emergency, tickets, events)
    expected = _expected(kinds, least, dt.timedelta(minutes=minutes), tickets, events)
    assert len(incidents) == len(expected) > 0
    for incident, row in zip(incidents, expected, strict=True):
        ids = {ticket for name, ticket in pairs if name == incident["incident_id"]}
        due = row["began_at"] + dt.timedelta(minutes=30)
        assert {**{key: incident[key] for key in row if key != "ids"}, "ids": ids} == row
        assert incident["incident_id"] == f"{row['began_at']:%Y-%m-%dT%H:%M:%S}Z"
        assert incident["start_due_at"] == due
        in_time = row["started_at"] <= due if row["started_at"] else False if due < AS_OF else None
        assert incident["is_started_in_time"] is in_time
        assert incident["is_over"] is (row["over_at"] is not None)
    assert len(steps) == len(expected) * len(PACK.emergency.steps)


def test_a_ticket_belongs_to_one_incident_at_most() -> None:
    for seed in range(100, 110):
        tickets, events = _history(random.Random(seed))
        _, _, pairs = _found({"min_tickets": 2, "in_window": "10m"}, tickets, events)
        assert len({ticket for _, ticket in pairs}) == len(pairs)


def test_steps_are_due_by_the_playbook() -> None:
    tickets = [
        {"ticket_id": f"t{i}", "kind": "outage", "opened_at": AS_OF - dt.timedelta(minutes=50 + i)}
        for i in range(10)
    ]
    incidents, steps, _ = _found({}, tickets, [])
    began = AS_OF - dt.timedelta(minutes=50)
    assert [i["began_at"] for i in incidents] == [began]
    assert [(s["step"], s["due_at"] - began, s["is_past_due"]) for s in steps] == [
        ("start", dt.timedelta(minutes=30), True),
        ("tell", dt.timedelta(hours=1), False),
        ("report", dt.timedelta(days=3), False),
    ]


@pytest.mark.parametrize("key", ["in_window", "respond_within"])
def test_windows_cannot_be_of_the_calendar(key: str) -> None:
    with pytest.raises(ValueError, match="must be in s, m, h, d, w"):
        Emergency.model_validate({**PACK.emergency.model_dump(), key: "2wd"})
    with pytest.raises(ValueError, match="must be in s, m, h, d, w"):
        EmergencyStep.model_validate({**PACK.emergency.steps[0].model_dump(), "within": "1mo"})
