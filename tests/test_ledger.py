"""The ledger: made once, planned once, mirrored once; on SQLite and on Postgres."""

import json
import random
import shutil
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from benchmarks.dispatch_lab import AS_OF, NOON, Lab, file_channels, new_database
from benchmarks.kill import check_plan, torment
from benchmarks.nursery import Nursery
from sqlalchemy import create_engine, text

from careloop.errors import CareloopError, SettingsError
from careloop.ledger import mirror
from careloop.ledger.database import open_ledger, open_url, utc
from careloop.ledger.suppressions import (
    NORMALISED_SQL,
    address_hash,
    lift,
    normalised,
    suppress_address,
    suppress_customer,
)
from careloop.settings import Settings

DAY = timedelta(days=1)


def test_planning_twice_adds_nothing(lab: Lab) -> None:
    file = lab.version(300)
    first = lab.plan(file)
    assert (first.planned, first.known, first.exposures) == (270, 0, 300)
    before = lab.rows("select * from messages order by seq")
    again = lab.plan(file)
    assert (again.planned, again.known, again.exposures) == (0, 270, 0)
    assert lab.rows("select * from messages order by seq") == before
    check_plan(lab, 300)
    assert lab.rows("select messages, exposures from plans") == [(270, 300)]


def test_two_plans_at_once_make_one_ledger(lab: Lab, nursery: Nursery) -> None:
    lab.version(1_000)
    assert nursery.run(lab, "plan", AS_OF, [None, None, None]) == [0, 0, 0]
    check_plan(lab, 1_000)


def test_a_decision_that_is_planned_on_one_channel_is_not_planned_on_another(lab: Lab) -> None:
    lab.plan(lab.version(100))
    second = lab.version(101, AS_OF + DAY)
    with duckdb.connect(str(second)) as con:
        con.execute("update fct_care_decisions set channel = 'wecom' where outcome = 'send'")
    done = lab.plan(second, AS_OF + DAY)
    assert (done.planned, done.known) == (1, 90)
    assert lab.rows("select count(*) from messages where channel = 'wecom'") == [(1,)]


def test_killed_planning_ends_in_the_same_ledger(lab: Lab, nursery: Nursery) -> None:
    lab.version(2_000)
    kills, _ = torment(nursery, "plan", lab, AS_OF, 4, random.Random(5))
    assert kills >= 4
    check_plan(lab, 2_000)
    order = lab.rows("select order_no from messages order by seq")
    assert order == sorted(order), "planned in the order they are to go"


def test_catching_up_plans_every_day_and_leaves_out_what_is_late(lab: Lab) -> None:
    now = AS_OF + 5 * DAY
    late = lab.plan(lab.version(100, hours=48), now)
    assert (late.planned, late.expired) == (0, 90)
    rows = lab.rows("select distinct state, at_utc, reason from events")
    assert [(s, str(at)[:19], why) for s, at, why in rows] == [
        ("expired", "2026-11-01 00:00:00", "not planned in time")
    ], "at their own day, so that they use up no caps of later days"
    fresh = lab.version(100, now)
    with duckdb.connect(str(fresh)) as con:
        con.execute("update fct_care_decisions set decision_key = md5(decision_key || 'x')")
    assert lab.plan(fresh, now).planned == 90


def test_what_planning_keeps(lab: Lab) -> None:
    lab.plan(lab.version(20))
    route = lab.rows("select route, kind, channel from messages where kind = 'task'")
    assert route == [("task", "task", "call")]
    arms = dict(lab.rows("select arm, count(*) from exposures group by arm"))
    assert arms == {"treated": 18, "holdout": 2}
    version = lab.settings.published / "marts-20261101T0000-empty.duckdb"
    duckdb.connect(str(version)).close()
    with pytest.raises(CareloopError, match="no care decisions"):
        lab.plan(version)


def test_message_ids_name_decision_and_channel(lab: Lab) -> None:
    import hashlib

    lab.plan(lab.version(5))
    for key, channel, name in lab.rows("select decision_key, channel, message_id from messages"):
        assert name == hashlib.sha256(f"{key}|{channel}".encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "no database URL"),
        ("mysql://localhost/x", "can't be kept in mysql"),
        ("sqlite://", "in memory would be lost"),
        ("sqlite:////proc/none/ledger.db", None),
        ("postgresql://care:secret@127.0.0.1:1/care", "can't be opened"),
    ],
)
def test_a_wrong_address_is_said_plainly(url: str, said: str | None) -> None:
    with pytest.raises((SettingsError, OSError)) as error:
        open_url(url)
    assert "secret" not in str(error.value)
    if said:
        assert said in str(error.value)


def test_a_ledger_of_another_release_is_refused(lab: Lab) -> None:
    open_ledger(lab.settings).close()
    for version, said in (("99", "a newer one"), ("0", "earlier release")):
        with open_engine(lab) as con:
            con.execute(
                text("update ledger_meta set value = :v where name = 'schema_version'"),
                {"v": version},
            )
            con.commit()
        with pytest.raises(SettingsError, match=said):
            open_ledger(lab.settings)


def open_engine(lab: Lab):
    url = lab.settings.ledger_url or f"sqlite:///{lab.settings.home / 'ledger.db'}"
    return create_engine(url).connect()


def test_a_database_with_other_tables_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as con:
        con.execute("create table messages (a)")
    with pytest.raises(SettingsError, match="not careloop's: messages"):
        Lab.at(tmp_path).rows("select 1")


def test_sqlite_is_durable(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    assert lab.rows("pragma journal_mode") == [("wal",)]
    assert lab.rows("pragma synchronous") == [(2,)]


def test_a_ledger_opened_by_many_at_once_is_made_once(lab: Lab) -> None:
    assert not lab.open_at_once()
    assert lab.rows("select count(*) from ledger_meta") == [(3,)]


def test_addresses_are_compared_as_people_write_them() -> None:
    same = [
        ("Wang@Example.com ", "wang@example.com"),
        ("+86 138-0013-8000", "13800138000"),
        ("0086 13800138000", "13800138000"),
        ("wx_ID7", "wx_ID7"),
        (" 010-6655 4433", "1066554433"),
    ]
    con = duckdb.connect()
    for written, meant in same:
        assert normalised(written) == meant
        sql = f"select {NORMALISED_SQL.format('a')} from (select ? as a)"
        assert con.execute(sql, [written]).fetchall() == [(meant,)]
    assert address_hash("s", "A@b.c") == address_hash("s", "a@B.c") != address_hash("t", "a@b.c")


# --- the mirror


def warehouse(settings: Settings, contacts: str = "") -> duckdb.DuckDBPyConnection:
    """Schema ledger as a refresh sees it."""
    con = duckdb.connect()
    con.execute("create schema raw")
    con.execute(
        "create table raw.contacts (customer_id varchar, phone varchar, email varchar, "
        "wecom_id varchar, push_token varchar)"
    )
    if contacts:
        con.execute(f"insert into raw.contacts values {contacts}")
    mirror.write_ledger(con, settings)
    return con


def columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    described = con.execute(f"describe ledger.{table}").fetchall()
    return [f"{name} {kind}".lower() for name, kind, *_ in described]


def test_without_a_ledger_the_warehouse_has_empty_tables(tmp_path: Path) -> None:
    settings = Lab.at(tmp_path).settings
    con = warehouse(settings)
    for table, wanted in mirror.LEDGER_TABLES.items():
        assert con.execute(f"select count(*) from ledger.{table}").fetchall() == [(0,)]
        assert columns(con, table) == wanted.split(", ")
    assert not (tmp_path / "ledger.db").exists(), "looking makes none"


def test_the_warehouse_sees_what_is_in_the_ledger(lab: Lab) -> None:
    lab.plan(lab.version(60))
    first = warehouse(lab.settings)
    for table, wanted in mirror.LEDGER_TABLES.items():
        assert columns(first, table) == wanted.split(", "), table
    assert first.execute("select count(*) from ledger.messages").fetchall() == [(54,)]
    lab.dispatch(file_channels(lab.settings.home), NOON)
    con = warehouse(lab.settings)
    counts = con.execute("select state, count(*) from ledger.events group by 1 order by 1")
    assert counts.fetchall() == [("planned", 54), ("sending", 54), ("sent", 54)]
    own = lab.rows(
        "select message_id, customer_id, contact_on, expires_at, is_cap_exempt from messages order by seq"
    )
    seen = con.execute(
        "select message_id, customer_id, contact_on, expires_at, is_cap_exempt from ledger.messages"
    ).fetchall()
    assert [tuple(str(v)[:19] for v in row) for row in seen] == [
        tuple(str(bool(v) if i == 4 else v)[:19] for i, v in enumerate(row)) for row in own
    ]
    files = [len(mirror.files(lab.settings, table)) for table in ("messages", "events")]
    assert files == [1, 2], "only what is new is written"
    warehouse(lab.settings)
    assert len(mirror.files(lab.settings, "events")) == 2


def test_suppressed_addresses_become_the_customers_who_have_them(lab: Lab) -> None:
    at = utc(NOON)
    with open_ledger(lab.settings) as ledger:
        salt = ledger.fact("salt")
        with ledger.write() as con:
            suppress_customer(con, "C1", "asked", at, purpose="marketing")
            suppress_address(con, address_hash(salt, "A@x.cn"), "bounced", at, channel="email")
            phone = suppress_address(con, address_hash(salt, "13800138000"), "wrong", at)
            again = suppress_address(con, address_hash(salt, "13800138000"), "wrong", at)
            assert phone == again
    contacts = (
        "('C2', '+86 13800138000', 'a@X.cn', null, null), ('C3', null, 'a@x.cn ', null, null)"
    )
    wanted = [
        ("C1", None, "marketing", "asked"),
        ("C2", "call", None, "wrong"),
        ("C2", "email", None, "bounced"),
        ("C2", "sms", None, "wrong"),
        ("C3", "email", None, "bounced"),
    ]
    select = "select customer_id, channel, purpose, reason from ledger.suppressions where lifted_at is null order by all"
    assert warehouse(lab.settings, contacts).execute(select).fetchall() == wanted
    with open_ledger(lab.settings) as ledger, ledger.write() as con:
        assert lift(con, phone, at)
        assert not lift(con, phone, at)
    con = warehouse(lab.settings, contacts)
    assert con.execute(select).fetchall() == [row for row in wanted if row[3] != "wrong"]
    assert con.execute("select count(*) from ledger.suppressions").fetchall() == [(5,)]


def test_an_older_ledger_that_was_restored_is_refused(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    lab.plan(lab.version(60))
    warehouse(lab.settings)
    kept = tmp_path / "kept.db"
    with sqlite3.connect(tmp_path / "ledger.db") as source, sqlite3.connect(kept) as target:
        source.backup(target)
    lab.dispatch(file_channels(tmp_path), NOON)
    warehouse(lab.settings)
    restore(tmp_path, kept)
    with pytest.raises(CareloopError, match="older than its mirror"):
        warehouse(lab.settings)
    with pytest.raises(CareloopError, match="older than its mirror"):
        lab.dispatch(file_channels(tmp_path), NOON)
    assert lab.states() == {"planned": 54}, "nothing was sent a second time"


def test_a_restored_ledger_that_went_on_is_refused(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    lab.plan(lab.version(60))
    warehouse(lab.settings)
    shutil.copytree(mirror.folder(lab.settings), tmp_path / "other")
    (tmp_path / "ledger.db").unlink()
    with pytest.raises(CareloopError, match="the ledger is gone"):
        warehouse(lab.settings)
    lab.plan(lab.version(80))
    with pytest.raises(CareloopError, match="not the ledger that was mirrored"):
        warehouse(lab.settings)
    with open_ledger(lab.settings) as ledger:
        identity = {"ledger_id": ledger.fact("ledger_id")}
    (mirror.folder(lab.settings) / mirror.IDENTITY).write_text(json.dumps(identity))
    with pytest.raises(CareloopError, match="used since"):
        warehouse(lab.settings)


def restore(home: Path, kept: Path) -> None:
    for leftover in home.glob("ledger.db*"):
        leftover.unlink()
    shutil.copy(kept, home / "ledger.db")


def test_a_file_within_a_longer_one_counts_for_nothing(tmp_path: Path) -> None:
    lab = Lab.at(tmp_path)
    folder = mirror.folder(lab.settings) / "events"
    folder.mkdir(parents=True)
    for name in ("000001-000010", "000001-000020", "000021-000030", ".half"):
        (folder / f"{name}.parquet").touch()
    assert [f.stem for f in mirror.files(lab.settings, "events")] == [
        "000001-000020",
        "000021-000030",
    ]


@pytest.mark.postgres
def test_the_mirror_waits_for_rows_that_are_being_written(
    postgres_url: str, tmp_path: Path
) -> None:
    """Numbers are given before transactions end: a later number may be committed first."""
    lab = Lab.at(tmp_path, new_database(postgres_url))
    lab.plan(lab.version(10))
    with open_ledger(lab.settings) as ledger, open_ledger(lab.settings) as other:
        started, seen = threading.Event(), []

        def export() -> None:
            started.set()
            seen.append(mirror.export(other, lab.settings))

        with ledger.write() as con:
            suppress_customer(con, "C1", "first", utc(NOON))
            with other.write() as second:
                suppress_customer(second, "C2", "second", utc(NOON))
            thread = threading.Thread(target=export)
            thread.start()
            started.wait()
            thread.join(0.3)
            assert thread.is_alive(), "waits for the first"
        thread.join(20)
    assert seen[0]["suppressions"] == 2
