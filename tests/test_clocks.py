"""Service clocks of random tickets against a reference that walks through time."""

import datetime as dt
import itertools
import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from careloop.contract import entities
from careloop.errors import ProgramError
from careloop.program.calendar import WorkCalendar, calendar_days, work_intervals
from careloop.program.load import load_program
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.warehouse import rows_of
from clocks_reference import Office, Row, at, epoch, ticket_clocks
from jinja_sql import Models

MODELS = (
    "stg_tickets", "stg_ticket_events", "stg_follow_ups", "stg_surveys",
    "int_service_time", "int_service_hours", "int_worked_hours", "int_service_days", "int_ticket_statuses",
    "int_ticket_stops", "int_ticket_solutions", "int_ticket_customers",
    "int_ticket_clock_cases", "int_clock_cases", "int_clock_pauses", "int_clocks",
    "int_clock_events", "fct_ticket_clocks", "fct_ticket_clock_events",
)  # fmt: skip
UPSTREAM = {
    "int_case_clock_cases": "case_kind varchar, case_id varchar, customer_id varchar, "
    "owner_id varchar, department varchar, clock varchar, target_key varchar, cycle integer, "
    "started_at timestamp, stopped_at timestamp, ended_at timestamp",
    "int_customer_segments": "customer_id varchar, segment varchar, stage varchar",
    "int_customer_loyalty": "customer_id varchar, tier varchar",
    "fct_customer_changes": "customer_id varchar, dimension varchar, from_value varchar, "
    "to_value varchar, as_of timestamp",
    "fct_customer_tier_changes": "customer_id varchar, change_no integer, from_tier varchar, "
    "tier varchar, changed_on date",
}
TARGETS = """target_key varchar, clock varchar, position integer, title_en varchar,
    title_zh varchar, starts varchar, stops varchar, kinds varchar, urgencies varchar,
    channels varchar, touchpoints varchar, segments varchar, stages varchar, tiers varchar,
    is_complex boolean, target varchar, target_amount integer, target_unit varchar,
    target_seconds bigint, clock_type varchar, pauses varchar, warn_at double,
    target_share double, valid_from timestamp, valid_until timestamp"""
FILTERS = ("kinds", "urgencies", "channels", "touchpoints", "segments", "stages", "tiers")
EVER = (dt.datetime(1900, 1, 1), dt.datetime(2900, 1, 1))
MINUTE = 60
LAPSE = dt.timedelta(days=1)


@dataclass(frozen=True)
class Place:
    """Where and when: a calendar with its holidays by hand, and the days the tickets are of."""

    zone: str
    calendar: Row
    as_of: dt.datetime
    days: float
    step: int = MINUTE
    tickets: int = 700


WEEK = ("mon", "tue", "wed", "thu", "fri")
OFFICE = dict.fromkeys(WEEK, "09:00-18:00")
PLACES = {
    # The National Day holiday, whose last day is worked off on Saturday 10 October.
    "shanghai": Place(
        "Asia/Shanghai",
        {
            "country": "CN", "hours": OFFICE, "breaks": ["12:00-13:00"],
            "make_up_hours": "09:30-17:00",
            "holidays": {dt.date(2026, 10, d) for d in (1, 2, 3, 5, 6, 7)} | {dt.date(2026, 9, 25)},
            "make_up": {dt.date(2026, 9, 20), dt.date(2026, 10, 10)},
        },
        dt.datetime(2026, 10, 12, 3, 1), 6,
    ),
    # Summer time ends at 3:00 on Sunday 25 October, in working time and in a break.
    "berlin": Place(
        "Europe/Berlin",
        {
            "country": "DE", "breaks": ["02:15-02:40", "12:30-13:00"],
            "hours": {**dict.fromkeys(WEEK, "08:30-17:30"), "sat": "18:00-24:00",
                      "sun": "00:00-06:00"},
            "make_up_hours": "09:00-18:00", "holidays": {dt.date(2026, 10, 3)}, "make_up": set(),
        },
        dt.datetime(2026, 10, 26, 11, 0), 4,
    ),
    # Summer time begins at 2:00 on Sunday 8 March, where a break would be.
    "new_york": Place(
        "America/New_York",
        {
            "country": "US", "breaks": ["02:15-02:40"],
            "hours": dict.fromkeys((*WEEK, "sat", "sun"), "00:00-24:00"),
            "make_up_hours": "09:00-18:00", "holidays": {dt.date(2026, 2, 16)}, "make_up": set(),
        },
        dt.datetime(2026, 3, 9, 15, 0), 4,
    ),
    # By the second, from before the lunch break to after it.
    "seconds": Place(
        "America/New_York",
        {
            "country": "US", "breaks": ["12:00-12:10"], "hours": dict.fromkeys(WEEK, "08:00-14:00"),
            "make_up_hours": "09:00-18:00", "holidays": set(), "make_up": set(),
        },
        dt.datetime(2026, 11, 2, 17, 30), 0.08, 1, 250,
    ),
}  # fmt: skip


def clocks(place: Place) -> list[Row]:
    """Clocks of every kind, with targets in steps of the place."""
    told = place.as_of - dt.timedelta(days=place.days / 2)
    told = at(epoch(told) // 60 * 60)

    def clock(name: str, starts: str, stops: str, steps: int | str, kind: str, **more: Any) -> Row:
        target = steps if isinstance(steps, str) else f"{steps * place.step}s"
        filters = {key: more.pop(key, []) for key in (*FILTERS, "pauses")}
        return {
            "key": more.pop("key", name), "id": name, "starts": starts, "stops": stops,
            "target": target, "clock": kind, "complex": more.pop("complex", None), **filters,
            "warn_at": more.pop("warn_at", 0.8), "valid_from": more.pop("valid_from", EVER[0]),
            "valid_until": more.pop("valid_until", EVER[1]), **more,
        }  # fmt: skip

    opened, solved = "ticket_opened", "ticket_solved"
    found = [
        clock("automatic", opened, "automatic_answer", 10, "calendar", channels=["chat", "app"]),
        clock("receipt", opened, "acknowledged", 60, "business", kinds=["complaint"], warn_at=0.5),
        clock("vip", opened, "first_response", 30, "business", segments=["core"], warn_at=0.1),
        clock("gold", opened, "first_response", 45, "business", tiers=["gold"], stages=["active"]),
        clock("after_sale", opened, "first_response", 60, "calendar", touchpoints=["after_sale"]),
        clock("answer", opened, "first_response", 120, "business", pauses=["pending"]),
        clock("human", "handed_over", "first_response", 5, "business"),
        clock("complex", opened, "solved", 1440, "calendar", complex=True,
              pauses=["pending", "on_hold"]),
        clock("solved", opened, "solved", 300, "business", key="solved 1", pauses=["pending"],
              valid_until=told),
        clock("solved", opened, "solved", 600, "business", key="solved 2", valid_from=told,
              pauses=["pending", "on_hold"]),
        clock("urgent", opened, "closed", 480, "business", urgencies=["urgent"]),
        clock("closed", opened, "closed", 1800, "calendar", pauses=["pending", "solved"]),
        clock("told", solved, "result_told", 240, "business"),
        clock("called", solved, "customer_called_back", 300, "calendar", kinds=["complaint"]),
        clock("asked", solved, "survey_asked", 200, "business", kinds=["enquiry"]),
    ]  # fmt: skip
    if place.step == MINUTE:
        found.append(clock("in_days", "handed_over", "solved", "1wd", "business"))
        found.append(clock("long", "handed_over", "closed", "1d", "calendar", pauses=["on_hold"]))
    return found


class World:
    """Random tickets of a place, and the models over them."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place, self.dice = place, random.Random(seed)
        self.first = place.as_of - dt.timedelta(days=place.days)
        self.clocks = clocks(place)
        self.calendar: WorkCalendar | None = None
        self.people = [f"c{n}" for n in range(40)]
        self.changes = [change for person in self.people for change in self._history(person)]
        self.tickets: list[Row] = []
        self.rows: Row = {"events": [], "receipts": [], "contacts": [], "lapse": LAPSE,
                          "asking": {"asking"}}  # fmt: skip
        for n in range(place.tickets):
            self._ticket(f"t{n}")
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'; set threads = 1")
        for schema in ("raw", "run", "program", "ledger", "staging", "intermediate", "marts"):
            self.con.execute(f"create schema {schema}")

    # -- what happens ---------------------------------------------------------------------------

    def moment(self, earliest: dt.datetime, share: float = 1.0) -> dt.datetime:
        """A moment on a step, often soon after, now and then after as_of or at the same time."""
        spread = (self.place.as_of - self.first).total_seconds() * share
        steps = spread * self.dice.random() ** 3 // self.place.step
        return earliest + dt.timedelta(seconds=steps * self.place.step)

    def _history(self, person: str) -> list[Row]:
        found = []
        choices = {
            "segment": ["core", "other"],
            "stage": ["active", "new"],
            "tier": ["gold", "tin"],
        }
        for dimension, values in choices.items():
            value = None
            for _ in range(self.dice.choice([0, 1, 1, 2, 3])):
                moment = self.moment(self.first - dt.timedelta(days=self.place.days / 3))
                found.append((person, dimension, moment, self.dice.choice(values)))
        result = []
        for person_id, dimension, moment, value in sorted(found):
            same = [r for r in result if r["dimension"] == dimension]
            if same and same[-1]["as_of"] == moment:
                continue
            result.append({"customer_id": person_id, "dimension": dimension, "as_of": moment,
                           "from": same[-1]["to"] if same else None, "to": value})  # fmt: skip
        return result

    def _ticket(self, name: str) -> None:
        dice = self.dice
        opened = at(epoch(self.moment(self.first)) // self.place.step * self.place.step)
        if dice.random() < 0.5:
            spread = (self.place.as_of - self.first).total_seconds() // self.place.step
            opened = self.first + dt.timedelta(
                seconds=dice.randrange(int(spread)) * self.place.step
            )

        def sometimes(share: float, late: float = 0.3) -> dt.datetime | None:
            return self.moment(opened, late) if dice.random() < share else None

        ticket = {
            "ticket_id": name, "customer_id": dice.choice([*self.people, None]),
            "opened_at": opened, "kind": dice.choice(["complaint", "enquiry", None]),
            "urgency": dice.choice(["urgent", "general", "suggestion"]),
            "channel": dice.choice(["chat", "app", "call", None]),
            "touchpoint": dice.choice(["after_sale", "use", None]),
            "is_complex": dice.choice([True, False, None]), "owner_id": dice.choice(["s1", None]),
            "department": "help", "automatic_response_at": sometimes(0.5, 0.01),
            "acknowledged_at": sometimes(0.4), "handed_over_at": sometimes(0.6, 0.1),
            "first_response_at": sometimes(0.7), "resolved_at": sometimes(0.3),
            "closed_at": sometimes(0.2), "archived_at": sometimes(0.25),
        }  # fmt: skip
        self.tickets.append(ticket)
        moment = opened - dt.timedelta(seconds=dice.choice([0, 0, 0, 5]) * self.place.step)
        for _ in range(dice.choice([0, 0, 1, 2, 3, 4, 6, 9])):
            moment = moment if dice.random() < 0.15 else self.moment(moment, 0.3)
            status = dice.choice(["open", "pending", "on_hold", "solved", "closed"])
            self.rows["events"].append({"ticket_id": name, "at": moment, "status": status})
        if dice.random() < 0.2:
            self.rows["receipts"].append({"ticket_id": name, "at": self.moment(opened, 0.1)})
        for _ in range(dice.choice([0, 0, 1, 2])):
            self.rows["contacts"].append({
                "ticket_id": name if dice.random() < 0.7 else None, "at": self.moment(opened),
                "customer_id": ticket["customer_id"] or "c1",
                "kind": dice.choice(["call", "survey", "message"]),
                "method": dice.choice(["call", "visit"]),
                "purpose": dice.choice(["service", "survey"]),
                "rule": dice.choice(["told", "asking", "of_old", "thanked"]),
            })  # fmt: skip

    def customer_of(self, ticket: Row) -> Row:
        """Segment, stage and tier when the ticket was opened."""
        found: Row = {}
        for dimension in ("segment", "stage", "tier"):
            own = [
                c for c in self.changes
                if c["customer_id"] == ticket["customer_id"] and c["dimension"] == dimension
            ]  # fmt: skip
            before = [c["to"] for c in own if self._since(c) <= ticket["opened_at"]]
            today = {"segment": "core", "stage": "active", "tier": "gold"}[dimension]
            known = own[0]["to"] if own else today if ticket["customer_id"] else None
            found[dimension] = before[-1] if before else known
        return found

    def _since(self, change: Row) -> dt.datetime:
        """Tiers are known by the day."""
        if change["dimension"] != "tier":
            return change["as_of"]
        office = Office(self.place.zone, self.place.calendar, 60, dt.date(2026, 1, 1), 0)
        return office.wall(office.local_day(change["as_of"]), 0)

    # -- the models -----------------------------------------------------------------------------

    def build(self) -> None:
        self._raw()
        self._program()
        for name, columns in UPSTREAM.items():
            place = "marts" if name.startswith("fct") else "intermediate"
            self.con.execute(f"create table {place}.{name} ({columns})")
        self._fill(
            "intermediate.int_customer_segments", [(p, "core", "active") for p in self.people]
        )
        self._fill("intermediate.int_customer_loyalty", [(p, "gold") for p in self.people])
        rows = [(c["customer_id"], c["dimension"], c["from"], c["to"], c["as_of"])
                for c in self.changes if c["dimension"] != "tier"]  # fmt: skip
        self._fill("marts.fct_customer_changes", rows)
        tiers = [c for c in self.changes if c["dimension"] == "tier"]
        office = Office(self.place.zone, self.place.calendar, 60, dt.date(2026, 1, 1), 0)
        rows = [(c["customer_id"], n, c["from"], c["to"], office.local_day(c["as_of"]))
                for n, c in enumerate(tiers)]  # fmt: skip
        self._fill("marts.fct_customer_tier_changes", rows)
        Models(DBT_PROJECT, self.con).run(*MODELS)

    def _fill(self, table: str, rows: list[tuple]) -> None:
        if rows:
            self.con.executemany(
                f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows
            )

    def _raw(self) -> None:
        calls = [r for r in self.rows["contacts"] if r["kind"] == "call"]
        surveys = [r for r in self.rows["contacts"] if r["kind"] == "survey"]
        raw = {
            "tickets": self.tickets, "ticket_events": self.rows["events"],
            "follow_ups": [{**r, "done_at": r["at"]} for r in calls],
            "surveys": [{**r, "asked_at": r["at"]} for r in surveys],
        }  # fmt: skip
        for name, rows in raw.items():
            columns = {c.name: c.sql_type for c in entities()[name].columns.values()}
            ddl = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            self.con.execute(f"create table raw.{name} ({ddl})")
            self._fill(f"raw.{name}", [tuple(row.get(c) for c in columns) for row in rows])
        self.con.execute(
            "create table ledger.messages (message_id varchar, occasion varchar, kind varchar, "
            "purpose varchar, rule varchar)"
        )
        self.con.execute(
            "create table ledger.events (message_id varchar, state varchar, at_utc timestamp)"
        )
        told = [("opened", r, "") for r in self.rows["receipts"]]
        told += [("solved", r, ":2026-01-01") for r in self.rows["contacts"]
                 if r["kind"] == "message" and r["ticket_id"]]  # fmt: skip
        for n, (what, row, day) in enumerate(told):
            occasion = f"ticket_{what}:{row['ticket_id']}{day}"
            early = row["at"] - dt.timedelta(days=1)
            of = row.get("purpose"), row.get("rule")
            self._fill("ledger.messages", [(f"m{n}", occasion, "send", *of),
                                           (f"k{n}", occasion, "task", *of)])  # fmt: skip
            self._fill("ledger.events", [(f"m{n}", "planned", early), (f"m{n}", "sent", row["at"]),
                                         (f"k{n}", "sent", early)])  # fmt: skip

    def _program(self) -> None:
        place = self.place
        given = {k: v for k, v in place.calendar.items() if k not in ("holidays", "make_up")}
        calendar = self.calendar or WorkCalendar(
            **given, closed_on_holidays=True, make_up_days=True, occasions=[]
        )
        first, last = (place.as_of + dt.timedelta(days=n) for n in (-40, 40))
        days = calendar_days(calendar, first.date(), last.date())
        for name, rows in {
            "calendar_days": [{"date": d.date} for d in days],
            "work_intervals": [
                {"date": d.date, "opens_at": a, "closes_at": b}
                for d in days for a, b in work_intervals(calendar, d)
            ],
            "settings": [
                {"key": "sla.recorded_only.0", "value": "suggestion"},
                {"key": "closed_loop.lapse_days", "value": str(LAPSE.days)},
            ],
            "rules": [
                {"rule": "told", "conversion_event": "order"},
                {"rule": "asking", "conversion_event": "survey_answer"},
                {"rule": "thanked", "conversion_event": None},
            ],
        }.items():  # fmt: skip
            self.con.register("given", pa.Table.from_pylist(rows))
            self.con.execute(f"create table program.{name} as from given")
            self.con.unregister("given")
        self.con.execute(
            "create table run.context as select ?::timestamp as as_of_utc, "
            "?::timestamp::date as as_of_date, ? as zone, 'hash' as pack_hash",
            [place.as_of, place.as_of, place.zone],
        )
        self.con.execute(f"create table intermediate.int_sla_targets ({TARGETS})")
        barred = lambda items: f"|{'|'.join(items)}|" if items else None  # noqa: E731
        units = {"s": 1, "h": 3600, "d": 86400}
        for position, c in enumerate(self.clocks):
            amount, unit = int(c["target"].rstrip("shwd")), c["target"].lstrip("0123456789")
            seconds = amount * units[unit] if unit in units else None
            since, until = (
                v if v not in EVER else None for v in (c["valid_from"], c["valid_until"])
            )
            self._fill("intermediate.int_sla_targets", [(
                c["key"], c["id"], position, c["id"], c["id"], c["starts"], c["stops"],
                *(barred(c[f]) for f in FILTERS), c["complex"], c["target"], amount, unit, seconds,
                c["clock"], barred(c["pauses"]), c["warn_at"], 1.0, since, until,
            )])  # fmt: skip

    def rows_of(self, table: str) -> list[Row]:
        return rows_of(self.con, f"from {table}")


@pytest.fixture(scope="module", params=PLACES)
def world(request: pytest.FixtureRequest) -> World:
    world = World(PLACES[request.param], seed=20 + len(request.param))
    world.build()
    place = world.place
    first = place.as_of.date() - dt.timedelta(days=20)
    office = Office(place.zone, place.calendar, place.step, first, 60)
    world.expected = {
        (ticket["ticket_id"], clock, cycle): row
        for ticket in world.tickets
        if ticket["opened_at"] <= place.as_of and ticket["urgency"] != "suggestion"
        for clock, cycle, row in ticket_clocks(
            office, world.clocks, ticket, world.customer_of(ticket), world.rows, place.as_of
        )
    }
    return world


COLUMNS = (
    "target_seconds", "started_at", "stopped_at", "elapsed_seconds", "paused_seconds", "warn_on_at",
    "due_at", "breached_at", "late_seconds", "state", "is_open",
)  # fmt: skip


def test_clocks_are_those_of_a_walk_through_time(world: World) -> None:
    found = {
        (r["case_id"], r["clock"], r["cycle"]): r for r in world.rows_of("intermediate.int_clocks")
    }
    assert found.keys() == world.expected.keys()
    for row in found.values():  # a share of working days is not on a step
        if row["warn_on_at"]:
            step = world.place.step
            row["warn_on_at"] = at(-(-epoch(row["warn_on_at"]) // step * step))
    wrong = [
        (key, column, found[key][column], row[column])
        for key, row in world.expected.items()
        for column in COLUMNS
        if found[key][column] != row[column]
    ]
    assert not wrong, wrong[:20]


def test_events_are_those_of_a_walk_through_time(world: World) -> None:
    found: dict[tuple, list[tuple]] = {}
    for r in world.rows_of("(from intermediate.int_clock_events order by all)"):
        key = r["case_id"], r["clock"], r["cycle"]
        found.setdefault(key, []).append((r["happened_at"], r["event"], r["elapsed_seconds"]))
        assert r["event_no"] == len(found[key])
    wrong = [
        (key, found.get(key), row["events"])
        for key, row in world.expected.items()
        if found.get(key) != row["events"]
    ]
    assert found.keys() == world.expected.keys()
    assert not wrong, wrong[:5]


def test_the_mart_shows_the_last_cycle_that_counts(world: World) -> None:
    last: dict[tuple, int] = {}
    for ticket, clock, cycle in world.expected:
        last[ticket, clock] = max(cycle, last.get((ticket, clock), 0))
    rows = world.rows_of("marts.fct_ticket_clocks")
    assert {(r["ticket_id"], r["clock"]): r["cycle"] for r in rows} == last
    assert len(rows) == len(last)


def test_every_state_comes_up(world: World) -> None:
    """Otherwise the comparison would say little."""
    states = {(row["state"], row["is_open"]) for row in world.expected.values()}
    assert states >= {
        ("met", False), ("breached", True), ("breached", False), ("running", True), ("paused", True),
    }  # fmt: skip
    words = {event for row in world.expected.values() for _, event, _ in row["events"]}
    assert words == {"activate", "pause", "fulfil", "breach"}
    assert {clock for _, clock, _ in world.expected} == {c["id"] for c in world.clocks}
    assert max(cycle for _, _, cycle in world.expected) > 2


def test_the_example_of_the_documentation() -> None:
    page = (PROJECT_ROOT / "docs/service-clocks.md").read_text("utf-8")
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.split("## An example")[1].splitlines()
        if line.startswith("|") and "---" not in line
    ]
    pieces = [row for row in cells if re.match(r"\d{4}-", row[0])]
    values = {name: value for name, value, *more in cells if not more and name != "column"}
    minutes = [int(row[2].removesuffix(" min")) for row in pieces]
    assert values["elapsed_seconds"] == str(60 * sum(minutes))
    for row, total in zip(pieces, itertools.accumulate(minutes), strict=True):
        assert row[3] == f"{total // 60} h {total % 60:02} min"
        length = dt.datetime.fromisoformat(row[1]) - dt.datetime.fromisoformat(row[0])
        assert f"{length.seconds // 60} min" == row[2]

    program = load_program("key_account")
    answer = next(c for c in program.sla.clocks if c.id == "answer")
    place = Place("Asia/Shanghai", {}, dt.datetime(2026, 10, 12, 4), 1, tickets=0)
    world = World(place, seed=1)
    opened, answered = pieces[0][0], pieces[-1][1]
    utc = lambda local: dt.datetime.fromisoformat(local) - dt.timedelta(hours=8)  # noqa: E731
    world.tickets = [{
        "ticket_id": "t", "opened_at": utc(opened), "first_response_at": utc(answered),
        "kind": "enquiry",
    }]  # fmt: skip
    given = answer.model_dump()
    world.clocks = [
        {**given, "key": "answer", "valid_from": EVER[0], "valid_until": EVER[1]}
    ]  # fmt: skip
    world.calendar = program.calendar
    world.build()
    (found,) = world.rows_of("marts.fct_ticket_clocks")
    for name, value in values.items():
        at_home = isinstance(found[name], dt.datetime)
        assert str(found[name] + dt.timedelta(hours=8) if at_home else found[name]) == (
            f"{value}:00" if at_home else value
        )


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("stops: solved, complex: true", "stops: survey_asked, complex: true", "cannot stop what"),
        ("target: 7d, clock: calendar", "target: 2mo, clock: calendar", "not in a unit"),
        ("target: 10m, clock: business", "target: 2d, clock: business", "not in a unit"),
        ("target: 7d, clock: calendar, pauses: [pending]",
         "target: 7wd, clock: business, pauses: [pending]", "cannot pause a target in working days"),
        ("target: 7d, clock: calendar, pauses: [pending]",
         "target: 7d, clock: calendar, pauses: [solved]", "pauses only a clock that stops with"),
    ],
)  # fmt: skip
def test_clocks_that_cannot_be_computed_are_refused(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    shutil.copytree(PROJECT_ROOT / "programs/retail_care", tmp_path / "pack")
    file = tmp_path / "pack/program.yml"
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(ProgramError, match=problem):
        load_program(tmp_path / "pack")
