"""Response times and corrections, against plain Python."""

import datetime as dt
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from careloop.program.load import load_program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.warehouse import rows_of
from jinja_sql import Models

ZONE = ZoneInfo("Asia/Shanghai")
CLOCKS = (
    "ticket_id varchar, clock varchar, clock_en varchar, clock_zh varchar, customer_id varchar, "
    "owner_id varchar, department varchar, touchpoint varchar, channel varchar, "
    "opened_at timestamp, stopped_at timestamp, breached_at timestamp, elapsed_seconds bigint, "
    "target_seconds bigint, state varchar, is_open boolean"
)
Rows = list[dict[str, Any]]


class World:
    """The pack service_desk over given rows; as_of is the start of a local day."""

    def __init__(self) -> None:
        self.con = duckdb.connect()
        self.models = Models(DBT_PROJECT, self.con)
        self.program = load_program("service_desk", PROJECT_ROOT / "programs")
        for schema in ("run", "staging", "marts"):
            self.con.execute(f"create schema {schema}")
        write_program_tables(self.con, self.program, dt.date(2026, 1, 1), dt.date(2027, 12, 31))
        self.con.execute(
            "create table staging.stg_follow_ups (ticket_id varchar, done_at timestamp)"
        )
        self.con.execute(f"create table marts.fct_ticket_clocks ({CLOCKS})")

    def at(self, day: str) -> None:
        local = dt.datetime.fromisoformat(day).replace(tzinfo=ZONE)
        utc = local.astimezone(dt.UTC).replace(tzinfo=None)
        self.con.execute(
            f"create or replace table run.context as select timestamp '{utc}' as as_of_utc, "
            f"date '{local.date()}' as as_of_date, timestamp '{day} 00:00:00' as as_of_local, "
            "'Asia/Shanghai' as zone"
        )

    def give(self, table: str, rows: Rows) -> None:
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            self.con.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))

    def rows(self, sql: str) -> Rows:
        return rows_of(self.con, sql)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.con.close()


# -- response times ----------------------------------------------------------------------------


def test_response_times_by_week_and_slice(world: World) -> None:
    chance = random.Random(8)
    given: Rows = []
    for i in range(400):
        taken = round(chance.expovariate(1 / 1500))
        waits = chance.random() < 0.1
        given.append(
            {
                "ticket_id": f"T{i}",
                "clock": "human_answer",
                "clock_en": "First human answer",
                "clock_zh": "人工首次响应",
                "owner_id": chance.choice(["A", "B", None]),
                "department": "service",
                "touchpoint": chance.choice(["consult", "use"]),
                "channel": "chat",
                "opened_at": dt.datetime(2026, 6, 1) + dt.timedelta(hours=chance.random() * 500),
                "elapsed_seconds": taken,
                "target_seconds": 1800,
                "state": "breached" if taken > 1800 else "running" if waits else "met",
                "is_open": waits,
            }
        )
    world.at("2026-07-01")
    world.give("marts.fct_ticket_clocks", given)
    world.models.run("rpt_response_times")
    slices = {"all": None, "owner": "owner_id", "touchpoint": "touchpoint", "channel": "channel",
              "department": "department"}  # fmt: skip
    expected: dict[tuple, Rows] = defaultdict(list)
    for row in given:
        local = row["opened_at"].replace(tzinfo=dt.UTC).astimezone(ZONE).date()
        monday = local - dt.timedelta(days=local.weekday())
        for name, column in slices.items():
            value = "all" if column is None else row[column] or "(unknown)"
            expected[monday, name, value].append(row)
    found = world.rows("from marts.rpt_response_times")
    assert {(r["period_start"], r["slice"], r["slice_value"]) for r in found} == set(expected)
    for row in found:
        of = expected[row["period_start"], row["slice"], row["slice_value"]]
        taken = sorted(r["elapsed_seconds"] for r in of if not r["is_open"])
        met = sum(r["state"] == "met" for r in of)
        late = sum(r["state"] == "breached" for r in of)
        assert (row["tickets"], row["answered"], row["on_time"], row["late"]) == (
            len(of), len(taken), met, late,
        )  # fmt: skip
        assert row["waiting"] == len(of) - len(taken)
        assert row["on_time_share"] == pytest.approx(met / (met + late))
        middle = statistics.median(taken) / 60
        assert float(row["median_minutes"]) == pytest.approx(middle, abs=0.051)
        if len(taken) > 1:
            ninth = statistics.quantiles(taken, n=10, method="inclusive")[8] / 60
            assert float(row["p90_minutes"]) == pytest.approx(ninth, abs=0.051)


# -- corrections -------------------------------------------------------------------------------


def test_answers_over_the_limit_have_a_correction_date(world: World) -> None:
    opened = dt.datetime(2026, 6, 4, 2)  # Thursday 10:00 in Shanghai

    def late(ticket: str, seconds: int, answered: dt.datetime | None) -> dict[str, Any]:
        return {
            "ticket_id": ticket,
            "clock": "human_answer",
            "opened_at": opened,
            "stopped_at": answered,
            "breached_at": opened + dt.timedelta(minutes=30) if seconds > 1800 else None,
            "elapsed_seconds": seconds,
            "target_seconds": 1800,
            "state": "breached" if seconds > 1800 else "met",
            "is_open": answered is None,
        }

    soon = opened + dt.timedelta(hours=1)
    given = [
        late("at_limit", 1800, opened + dt.timedelta(minutes=30)),
        late("second_over", 1801, soon),
        late("unanswered", 90000, None),
        late("followed_up", 3600, soon),
        late("followed_up_before", 3600, soon),
        {**late("other_clock", 90000, soon), "clock": "fault_answer"},
    ]
    world.give("marts.fct_ticket_clocks", given)
    world.give(
        "staging.stg_follow_ups",
        [
            {"ticket_id": "followed_up", "done_at": soon + dt.timedelta(hours=2)},
            {"ticket_id": "followed_up_before", "done_at": soon - dt.timedelta(minutes=1)},
        ],
    )

    def states(day: str) -> dict[str, str]:
        world.at(day)
        world.models.run("fct_corrections")
        return {r["ticket_id"]: r["state"] for r in world.rows("from marts.fct_corrections")}

    due = {
        "second_over": "to_correct",
        "unanswered": "unanswered",
        "followed_up": "corrected",
        "followed_up_before": "to_correct",
    }
    # The service works on Saturdays and Sundays, too: three days after Thursday is Sunday.
    assert states("2026-06-07") == due
    found = world.rows("from marts.fct_corrections where ticket_id = 'second_over'")
    assert found[0]["found_on"] == dt.date(2026, 6, 4)
    assert found[0]["correct_by"] == dt.date(2026, 6, 7)
    overdue = {"second_over": "overdue", "unanswered": "overdue", "followed_up_before": "overdue"}
    assert states("2026-06-08") == due | overdue
