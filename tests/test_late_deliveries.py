"""Late deliveries and when the customer was told, against given orders and a given ledger."""

import datetime as dt

import duckdb
import pytest

from careloop.ledger.mirror import LEDGER_TABLES
from careloop.program.load import load_program
from careloop.program.tables import write_program_tables
from careloop.settings import PROJECT_ROOT
from careloop.transform.dbt import DBT_PROJECT
from jinja_sql import Models

AS_OF = dt.datetime(2026, 6, 20, 12)
PACK = load_program("retail_care", PROJECT_ROOT / "programs")  # to be told within 24 hours
PROMISED = dt.datetime(2026, 6, 16, 12)
BY = PROMISED + dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    assert (PACK.late_delivery.tell_within, PACK.late_delivery.late_after) == ("24h", None)
    con = duckdb.connect()
    con.execute("set timezone = 'UTC'")
    for schema in ("run", "staging", "intermediate", "marts", "ledger"):
        con.execute(f"create schema {schema}")
    write_program_tables(con, PACK, AS_OF.date(), AS_OF.date())
    con.execute(
        "create table run.context as select ?::timestamp as as_of_utc, ?::date as as_of_date, "
        "'UTC' as zone",
        [AS_OF, AS_OF.date()],
    )
    con.execute(
        "create table staging.stg_orders (order_id varchar, customer_id varchar, status varchar, "
        "paid_at timestamp, shipped_at timestamp, delivered_at timestamp, "
        "cancelled_at timestamp, updated_at timestamp, promised_at timestamp)"
    )
    for name in ("messages", "events"):
        con.execute(f"create table ledger.{name} ({LEDGER_TABLES[name]})")
    return con


def late(con: duckdb.DuckDBPyConnection, order: str, promised: dt.datetime = PROMISED) -> None:
    con.execute(
        "insert into staging.stg_orders (order_id, customer_id, status, shipped_at, updated_at, "
        "promised_at) values (?, 'c', 'shipped', ?, ?, ?)",
        [order, promised - dt.timedelta(days=2), AS_OF, promised],
    )


def told(con: duckdb.DuckDBPyConnection, occasion: str, at: dt.datetime, state: str = "sent",
         planned: dt.datetime = PROMISED, offer: str | None = None) -> None:  # fmt: skip
    message = f"{occasion} {at}"
    con.execute(
        "insert into ledger.messages (message_id, occasion, offer, kind, as_of) "
        "values (?, ?, ?, 'send', ?)",
        [message, occasion, offer, planned],
    )
    con.executemany(
        "insert into ledger.events (seq, message_id, state, at_utc) values (?, ?, ?, ?)",
        [[1, message, "planned", planned], [2, message, state, at]],
    )


def found(con: duckdb.DuckDBPyConnection) -> dict[str, list]:
    Models(DBT_PROJECT, con).run("int_care_message_states", "fct_late_deliveries")
    rows = con.execute(
        "select order_id, state, told_at, told_in_time, offer from marts.fct_late_deliveries"
    ).fetchall()
    return {order: rest for order, *rest in rows}


def test_who_was_told_and_whether_in_time(con: duckdb.DuckDBPyConnection) -> None:
    orders = ("in_time", "too_late", "twice", "a:b", "failed", "of_another", "of_now", "to_come")
    for order in orders:
        late(con, order)
    told(con, "delivery_late:in_time", BY, offer="late_coupon")
    told(con, "delivery_late:too_late", BY + SECOND)
    told(con, "delivery_stalled:twice", BY - SECOND, offer="first")
    told(con, "delivery_late:twice", BY + SECOND, offer="second")
    told(con, "delivery_late:a:b", BY)
    told(con, "delivery_late:failed", BY, state="failed", offer="late_coupon")
    told(con, "order_shipped:of_another", BY)
    told(con, "delivery_late:of_now", AS_OF, planned=AS_OF)
    told(con, "delivery_late:to_come", AS_OF + SECOND)
    assert found(con) == {
        "in_time": ["late", BY, True, "late_coupon"],
        "too_late": ["late", BY + SECOND, False, None],
        "twice": ["late", BY - SECOND, True, "second"],
        "a:b": ["late", BY, True, None],
        **{
            key: ["late", None, False, None]
            for key in ("failed", "of_another", "of_now", "to_come")
        },
    }


def test_who_is_not_told_yet_may_still_be_in_time(con: duckdb.DuckDBPyConnection) -> None:
    day = dt.timedelta(days=1)
    late(con, "still", AS_OF - day)
    late(con, "over", AS_OF - day - SECOND)
    late(con, "early", AS_OF - day)
    told(con, "delivery_stalled:early", AS_OF - 2 * day, planned=AS_OF - 3 * day)
    late(con, "lost", AS_OF - dt.timedelta(days=10))
    assert found(con) == {
        "still": ["late", None, None, None],
        "over": ["late", None, False, None],
        "early": ["late", AS_OF - 2 * day, True, None],
        "lost": ["lost", None, None, None],
    }
