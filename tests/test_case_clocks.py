"""Service clocks of what is no ticket: which cases there are, when they start and stop."""

import datetime as dt
from typing import Any

import duckdb
import pytest

from careloop.ledger.mirror import LEDGER_TABLES
from careloop.program.load import load_program
from careloop.program.sla import Clock
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from careloop.transform.prepare import CARRIED
from jinja_sql import Models

AS_OF = dt.datetime(2026, 6, 20, 12)
PACK = load_program("key_account", PROJECT_ROOT / "programs")  # alert levels low, medium, high
UPSTREAM = {
    "stg_customers": "customer_id varchar, account_manager_id varchar",
    "stg_staff": "staff_id varchar, department varchar",
    "stg_follow_ups": "customer_id varchar, method varchar, done_at timestamp",
    "stg_orders": "order_id varchar, customer_id varchar, status varchar, "
    "delivered_at timestamp, updated_at timestamp",
    "stg_surveys": "order_id varchar, asked_at timestamp",
    "int_customer_orders": "customer_id varchar, first_order_at timestamp",
    "int_incidents": "incident_id varchar, department varchar, began_at timestamp, "
    "started_at timestamp",
    "fct_customer_changes": CARRIED["customer_changes"][1],
}


def at(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 6, day, hour)


def clock(id: str, starts: str, stops: str, **parts: Any) -> Clock:
    whole = {"title": {"en": id, "zh": id}, "target": "24h", "clock": "calendar", **parts}
    return Clock.model_validate({"id": id, "starts": starts, "stops": stops, **whole})


class Service:
    """The models over hand-made tables."""

    def __init__(self, *clocks: Clock, as_of: dt.datetime = AS_OF, lapse_days: int = 180) -> None:
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'")
        for schema in ("run", "staging", "intermediate", "marts", "ledger"):
            self.con.execute(f"create schema {schema}")
        loop = PACK.closed_loop.model_copy(update={"lapse_days": lapse_days})
        sla = PACK.sla.model_copy(update={"clocks": list(clocks)})
        pack = PACK.model_copy(update={"sla": sla, "closed_loop": loop})
        write_program_tables(self.con, pack, as_of.date(), as_of.date() + dt.timedelta(days=3))
        self.con.execute(
            "create table run.context as select ?::timestamp as as_of_utc, "
            "?::date as as_of_date, 'UTC' as zone, 'x' as pack_hash",
            [as_of, as_of.date()],
        )
        self.con.execute(f"create table run.previous_sla_targets ({CARRIED['sla_targets'][1]})")
        self.models = Models(DBT_PROJECT, self.con)
        for name, columns in UPSTREAM.items():
            self.con.execute(f"create table {self.models.place(name)} ({columns})")
        for name in ("messages", "events"):
            self.con.execute(f"create table ledger.{name} ({LEDGER_TABLES[name]})")

    def add(self, model: str, columns: str, *rows: tuple) -> None:
        place = self.models.place(model) if model in UPSTREAM else model
        marks = ", ".join("?" * len(columns.split(", ")))
        self.con.executemany(f"insert into {place} ({columns}) values ({marks})", rows)

    def changes(
        self, dimension: str, *rows: tuple[str, str | None, str | None, dt.datetime]
    ) -> None:
        """Customer, from, to, when."""
        for customer, before, after, when in rows:
            self.add(
                "fct_customer_changes",
                "change_key, customer_id, dimension, from_value, to_value, as_of",
                (f"{customer} {dimension} {when}", customer, dimension, before, after, when),
            )

    def cases(self) -> list[tuple]:
        """Kind, case, clock, start and stop."""
        self.models.run("int_sla_targets", "int_customer_standings", "int_case_clock_cases")
        return self.con.execute(
            "select case_kind, case_id, clock, started_at, stopped_at "
            "from intermediate.int_case_clock_cases order by case_kind, case_id, clock"
        ).fetchall()

    def ends(self) -> dict[str, dt.datetime]:
        """When the cases ended without their stop."""
        query = (
            "select case_id, ended_at from intermediate.int_case_clock_cases "
            "where ended_at is not null"
        )
        return dict(self.con.execute(query).fetchall())


CALL = clock("call", "first_deal", "customer_called")
ALERT = clock("alert_call", "churn_alert", "customer_called")
SURVEY = clock("survey", "order_completed", "survey_asked")
GROUP = clock("group", "incident", "group_started")


def test_a_first_deal_waits_for_the_first_call_after_it() -> None:
    service = Service(CALL)
    service.add(
        "int_customer_orders",
        "customer_id, first_order_at",
        ("called", at(1)), ("before", at(1)), ("visited", at(1)), ("no_order", None),
        ("at_once", at(1)),
    )  # fmt: skip
    service.add(
        "stg_follow_ups",
        "customer_id, method, done_at",
        ("called", "call", at(3)), ("called", "call", at(2)), ("before", "call", at(1) - at(2) + at(1)),
        ("visited", "visit", at(2)), ("visited", "call", None), ("at_once", "call", at(1)),
    )  # fmt: skip
    assert service.cases() == [
        ("customer", "at_once", "call", at(1), at(1)),
        ("customer", "before", "call", at(1), None),
        ("customer", "called", "call", at(1), at(2)),
        ("customer", "visited", "call", at(1), None),
    ]


def test_every_entry_into_a_higher_alert_level_is_a_case() -> None:
    service = Service(ALERT)
    service.changes(
        "churn_level",
        ("a", None, "low", at(1)), ("a", "low", "high", at(3)), ("a", "high", "medium", at(5)),
        ("a", "medium", None, at(7)), ("a", None, "medium", at(9)), ("b", "gone", "low", at(2)),
        ("c", "low", "renamed", at(2)),
    )  # fmt: skip
    service.add("stg_follow_ups", "customer_id, method, done_at", ("a", "call", at(4)))
    found = service.cases()
    assert service.ends() == {
        f"a churn_level {at(1)}": at(3),  # the next alert
    }
    assert found == [
        ("alert", f"a churn_level {at(1)}", "alert_call", at(1), None),
        ("alert", f"a churn_level {at(3)}", "alert_call", at(3), at(4)),
        ("alert", f"a churn_level {at(9)}", "alert_call", at(9), None),
        ("alert", f"b churn_level {at(2)}", "alert_call", at(2), None),
    ]


def test_a_completed_order_waits_for_a_survey_or_our_own_message() -> None:
    service = Service(SURVEY)
    service.add(
        "stg_orders",
        "order_id, customer_id, status, delivered_at, updated_at",
        ("asked", "a", "completed", at(2), at(3)), ("earlier", "a", "completed", None, at(3)),
        ("sent", "a", "completed", at(2), None), ("thanked", "a", "completed", at(2), None),
        ("planned", "a", "completed", at(2), None), ("later", "a", "completed", at(2), None),
        ("on_the_way", "a", "shipped", None, at(3)), ("undated", "a", "completed", None, None),
        ("old", "a", "completed", dt.datetime(2020, 1, 1), None),
        ("by_rule", "a", "completed", at(2), None),
    )  # fmt: skip
    service.add(
        "stg_surveys",
        "order_id, asked_at",
        ("asked", at(5)), ("asked", at(4)), ("earlier", at(1)), (None, at(5)), ("sent", at(9)),
    )  # fmt: skip
    sent = [("sent", "survey"), ("thanked", "care"), ("planned", "survey"), ("later", "survey")]
    asking = next(r for r in PACK.rules if r.conversion and r.conversion.event == "survey_answer")
    service.add(
        "ledger.messages",
        "message_id, occasion, purpose, rule, kind, as_of",
        *((o, f"order_completed:{o}", purpose, "x", "send", at(2)) for o, purpose in sent),
        ("asking", "order_completed:by_rule", "service", asking.id, "send", at(2)),
        ("shipped", "order_shipped:planned", "survey", "x", "send", at(2)),
        ("of_now", "order_completed:planned", "survey", "x", "send", AS_OF),
    )
    service.add(
        "ledger.events",
        "message_id, state, at_utc",
        ("sent", "planned", at(2)), ("sent", "sent", at(6)), ("thanked", "sent", at(6)),
        ("planned", "failed", at(6)), ("later", "sent", at(21)), ("shipped", "sent", at(6)),
        ("of_now", "sent", at(6)), ("asking", "sent", at(7)),
    )  # fmt: skip
    assert service.cases() == [
        ("order", "asked", "survey", at(2), at(4)),
        ("order", "by_rule", "survey", at(2), at(7)),
        ("order", "earlier", "survey", at(3), at(3)),
        ("order", "later", "survey", at(2), None),
        ("order", "planned", "survey", at(2), None),
        ("order", "sent", "survey", at(2), at(6)),
        ("order", "thanked", "survey", at(2), None),
    ]


def test_who_is_never_called_or_asked_is_given_up() -> None:
    """After the pack's days, or when the customer leaves the alert's level."""
    service = Service(CALL, ALERT, SURVEY, GROUP, lapse_days=10)
    today, before = AS_OF - dt.timedelta(days=10), dt.timedelta(seconds=1)
    service.add(
        "int_customer_orders",
        "customer_id, first_order_at",
        ("forgotten", today), ("waiting", today + before), ("at_last", at(1)), ("late", at(2)),
    )  # fmt: skip
    service.add(
        "stg_follow_ups",
        "customer_id, method, done_at",
        ("at_last", "call", at(11)), ("late", "call", at(12) + before), ("b", "call", at(7)),
        ("c", "call", at(8)),
    )  # fmt: skip
    service.add(
        "stg_orders",
        "order_id, customer_id, status, delivered_at",
        ("o1", "x", "completed", at(3)), ("o2", "x", "completed", at(3)),
    )  # fmt: skip
    service.add("stg_surveys", "order_id, asked_at", ("o1", at(13)), ("o2", at(14)))
    service.add("int_incidents", "incident_id, department, began_at", ("i", "it", at(1)))
    service.changes(
        "churn_level",
        ("a", None, "low", at(1)), ("b", None, "low", at(1)), ("b", "low", None, at(7)),
        ("c", None, "high", at(1)), ("c", "high", "low", at(7)), ("d", None, "low", at(15)),
    )  # fmt: skip
    stops = {case: stop for _, case, _, _, stop in service.cases()}
    assert {case for case, stop in stops.items() if stop} == {
        "at_last",
        "o1",
        f"b churn_level {at(1)}",
    }
    assert service.ends() == {
        "forgotten": AS_OF, "late": at(12), "o2": at(13), f"a churn_level {at(1)}": at(11),
        f"c churn_level {at(1)}": at(7),
    }  # fmt: skip


def test_an_incident_waits_for_its_group() -> None:
    service = Service(GROUP)
    service.add(
        "int_incidents",
        "incident_id, department, began_at, started_at",
        ("i1", "it", at(1), at(2)), ("i2", None, at(5), None),
    )  # fmt: skip
    assert service.cases() == [
        ("incident", "i1", "group", at(1), at(2)),
        ("incident", "i2", "group", at(5), None),
    ]


def test_the_owner_is_the_account_manager() -> None:
    service = Service(CALL, GROUP)
    service.add("stg_customers", "customer_id, account_manager_id", ("a", "s1"))
    service.add("stg_staff", "staff_id, department", ("s1", "sales"))
    service.add("int_customer_orders", "customer_id, first_order_at", ("a", at(1)))
    service.add("int_incidents", "incident_id, department, began_at", ("i1", "it", at(1)))
    service.cases()
    owners = "select customer_id, owner_id, department from intermediate.int_case_clock_cases"
    assert set(service.con.execute(owners).fetchall()) == {("a", "s1", "sales"), (None, None, "it")}


def test_the_first_clock_that_fits_the_customer_of_then_holds() -> None:
    service = Service(
        clock("vip", "first_deal", "customer_called", segments=["vip"], stages=["new"]),
        clock("gold", "first_deal", "customer_called", tiers=["gold", "platinum"]),
        clock("new", "first_deal", "customer_called", stages=["new"]),
    )
    names = ["vip", "gold", "new", "old", "first_seen_later", "gold_later", "unknown"]
    service.add(
        "int_customer_orders", "customer_id, first_order_at", *((name, at(5)) for name in names)
    )
    seen = at(1)
    service.changes(
        "segment",
        ("vip", None, "vip", seen), ("vip", "vip", "vi", at(6)), ("gold", None, "vip", seen),
        ("new", None, "vi", seen), ("new", "vi", "vip", at(6)),
    )  # fmt: skip
    service.changes(
        "stage",
        ("vip", None, "old", seen), ("vip", "old", "new", at(5)), ("gold", None, "old", seen),
        ("new", None, "new", seen), ("old", None, "new", seen), ("old", "new", "old", at(5)),
        ("first_seen_later", None, "new", at(9)), ("gold_later", None, "old", seen),
    )  # fmt: skip
    service.changes("tier", ("gold", None, "gold", seen), ("gold_later", None, "gold", at(6)))
    assert [(case, name) for _, case, name, _, _ in service.cases()] == [
        ("first_seen_later", "new"),
        ("gold", "gold"),
        ("new", "new"),
        ("vip", "vip"),
    ]


def test_a_case_is_judged_by_the_target_of_when_it_began() -> None:
    service = Service(clock("call", "first_deal", "customer_called", target="1h"))
    service.add(
        "run.previous_sla_targets",
        "target_key, clock, clock_no, starts, stops, target, as_of",
        ("call", "call", 1, "first_deal", "customer_called", "24h", at(2)),
    )
    before, after = AS_OF - dt.timedelta(seconds=1), AS_OF
    service.add("int_customer_orders", "customer_id, first_order_at", ("a", before), ("b", after))
    service.cases()
    keys = "select case_id, target_key from intermediate.int_case_clock_cases order by 1"
    assert service.con.execute(keys).fetchall() == [("a", "call"), ("b", f"call {AS_OF}")]


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"stops": "survey_asked"}, "stops"),
        ({"kinds": ["fault"]}, "kinds"),
        ({"urgencies": ["urgent"]}, "urgencies"),
        ({"channels": ["wecom"]}, "channels"),
        ({"touchpoints": ["use"]}, "touchpoints"),
        ({"complex": True}, "complex"),
        ({"pauses": ["pending"]}, "pauses"),
        ({"starts": "incident", "stops": "group_started", "segments": ["core"]}, "segments"),
        ({"starts": "ticket_opened", "stops": "group_started"}, "stops"),
    ],
)
def test_a_pack_cannot_ask_for_what_is_not_measured(parts: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        clock(**{"id": "a", "starts": "first_deal", "stops": "customer_called", **parts})
