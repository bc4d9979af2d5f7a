"""Erasure: no byte of the person is left, every figure is, and nobody comes back by an import."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlalchemy import select

from careloop.access_log import accesses
from careloop.cli.run import Steps, refresh_once
from careloop.erase import erase
from careloop.erase import run as erasing
from careloop.errors import SettingsError
from careloop.feedback import Receipt, record
from careloop.lake.batches import Lake
from careloop.lake.erasures import Erasures
from careloop.ledger.database import open_ledger
from careloop.ledger.mirror import export, files
from careloop.ledger.suppressions import address_hash
from careloop.ledger.tables import events, messages, suppressions
from careloop.program.contact import Feedback
from careloop.program.load import load_program
from careloop.published import query
from careloop.run_info import run_info
from careloop.sample import make_sample
from careloop.settings import load_settings
from test_feedback import plan
from test_sources import Crm

NOW = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
HEAD = "customer_id,name,email,phone,address,updated_at\n"
# Everything that is C1's alone: of two versions, of a rejected and of a waiting row.
SECRETS = (
    "王小莉之名", "old.li@example.com", "new.li@example.com", "13911112222", "13933334444",
    "莫干山路一百号", "her angry words", "said on the phone", "1988-08-08", "likes orchids",
)  # fmt: skip


def files_with(home: Path, texts: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file, text) of every text found in any file, as bytes and inside Parquet and DuckDB."""
    found = []
    for path in sorted(p for p in home.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if path.suffix == ".parquet":
            with duckdb.connect() as con:
                rows = con.execute("select * from read_parquet(?)", [str(path)]).fetchall()
            content += repr(rows).encode() + str(rows).encode()
            content += "\n".join(str(v) for row in rows for v in row).encode()
        for text in texts:
            ways = {text, json.dumps(text)[1:-1], text.lower()}
            found += [(str(path.relative_to(home)), text) for w in ways if w.encode() in content]
    return found


@pytest.fixture
def crm(tmp_path: Path) -> Crm:
    crm = Crm(tmp_path)
    entities = ("contacts", "tickets", "follow_ups", "interactions", "referrals", "consents")
    crm.put(
        "source.yml",
        (crm.folder / "source.yml").read_text("utf-8").rstrip("\n")
        + "".join(f"\n  {name}:\n    file: {name}*.csv" for name in entities)
        + "\n",
    )
    crm.put("customers.csv", "customer_id,registered_at,birthday,interests\n"
            "C1,2025-01-02,1988-08-08,likes orchids\nC2,2025-01-03,1990-01-01,tea\n"
            "C10,2025-01-04,,\nC-1,2025-01-05,,\n")  # fmt: skip
    crm.put(
        "orders.csv",
        "order_id,customer_id,ordered_at,amount\n"
        + "".join(
            f"O{i},{('C1', 'C2', 'C10')[i % 3]},2026-0{1 + i % 6}-1{i % 9},{i}.5\n"
            for i in range(30)
        ),
    )
    crm.put("contacts.csv", HEAD + "C1,王小莉之名,old.li@example.com,13911112222,,2026-01-01\n"
            "C2,陈二,c2@example.com,13800000002,西湖路二号,2026-01-01\n"
            "C10,李十,c10@example.com,13800000010,,2026-01-01\n")  # fmt: skip
    crm.put("interactions.csv", "interaction_id,customer_id,occurred_at,kind\n"
            "I1,C1,2026-05-01,login\nI2,C2,2026-05-01,login\n")  # fmt: skip
    crm.put("tickets.csv", "ticket_id,customer_id,opened_at,description,resolved_at\n"
            "T1,C1,2026-05-01,her angry words,\nT2,C2,2026-05-01,fine,\n"
            "T3,C1,not a time,her angry words,\n")  # fmt: skip
    crm.put("follow_ups.csv", "follow_up_id,customer_id,content\nF1,C1,said on the phone\n")
    crm.put("referrals.csv", "referral_id,referrer_id,referred_id,at\nR1,C2,C1,2026-04-01\n")
    crm.put("consents.csv", "customer_id,purpose,channel,changed_at,granted\n"
            "C1,marketing,email,2026-01-01,true\nC1,prank,email,2026-01-01,true\n")  # fmt: skip
    assert not crm.load().refused
    # A newer version, a row that is rejected, and one that waits for a customer not known yet.
    crm.put("contacts-2.csv", HEAD
            + "C1,王小莉之名,new.li@example.com,13933334444,莫干山路一百号,2026-06-01\n"
            + "C1,王小莉之名,new.li@example.com,13933334444,莫干山路一百号,whenever\n"
            + ",王小莉之名,new.li@example.com,13933334444,,2026-06-01\n"
            + "C99,他人,c99@example.com,13800000099,,2026-06-01\n")  # fmt: skip
    crm.load()
    return crm


def figures(crm: Crm) -> dict[str, Any]:
    """What must not change, by entity: rows, and the money of each month."""
    found = {
        name: len(crm.rows(name))
        for name in ("customers", "orders", "interactions", "tickets", "consents", "referrals")
    }
    months: dict[Any, Any] = {}
    for at, amount in crm.rows("orders", "ordered_at, amount"):
        months.setdefault(at.strftime("%Y-%m"), []).append(amount)
    found["spend"] = {month: (len(v), sum(v)) for month, v in months.items()}
    spenders: dict[str, Any] = {}
    for who, amount in crm.rows("orders", "customer_id, amount"):
        spenders[who] = spenders.get(who, 0) + amount
    found["by customer"] = sorted(spenders.values())
    return found


def extras(crm: Crm) -> None:
    """What else may name the customer: a dry run, a report, archived decisions, the ledger."""
    home = crm.settings.home
    (home / "outbox/email").mkdir(parents=True)
    lines = [
        {"message_id": "m1", "customer_id": "C1", "address": "new.li@example.com",
         "text": "亲爱的王小莉之名"},
        {"message_id": "m2", "customer_id": "C2", "address": "c2@example.com", "text": "hello"},
    ]  # fmt: skip
    (home / "outbox/email/2026-11-19.jsonl").write_text(
        "".join(json.dumps(line, ensure_ascii=n == 0) + "\n" for n, line in enumerate(lines)),
        "utf-8",
    )
    (home / "reports/r").mkdir(parents=True)
    (home / "reports/r/data-quality.html").write_text("<td>new.li@example.com</td><td>ok</td>")
    (home / "decisions").mkdir()
    (home / "build").mkdir(exist_ok=True)
    (home / "build/warehouse.duckdb").write_bytes(b"merged: old.li@example.com")
    with duckdb.connect() as con:
        con.execute(
            f"copy (select 'C1' as customer_id, 'birthday' as rule union all select 'C2', 'x') "
            f"to '{home}/decisions/d.parquet' (format parquet)"
        )
    with open_ledger(crm.settings) as ledger:
        plan(ledger, "m1")
        plan(ledger, "m9", state="planned")
        plan(ledger, "m2", customer_id="C2", state="planned")


def test_nothing_personal_is_left_and_every_figure_is(crm: Crm) -> None:
    extras(crm)
    before = figures(crm)
    others = [r for r in crm.rows("contacts") if r[0] != "C1"]
    home = crm.settings.home
    assert {text for _, text in files_with(home, SECRETS)} == set(SECRETS)
    done = erase(crm.settings, "C1", "asked for it", NOW)
    assert files_with(home, SECRETS) == []
    assert (done.addresses, done.shared) == (4, 0)
    assert figures(crm) == before
    ids = {name: {r[0] for r in crm.rows(name, "customer_id")} for name in ("customers", "orders")}
    assert ids["orders"] == {done.pseudonym, "C2", "C10"}
    assert ids["customers"] == {done.pseudonym, "C2", "C10", "C-1"}
    assert [r for r in crm.rows("contacts") if r[0] != done.pseudonym] == others
    assert crm.rows("referrals", "referrer_id, referred_id") == [("C2", done.pseudonym)]
    assert not (home / "build").exists()
    kept = (home / "outbox/email/2026-11-19.jsonl").read_text("utf-8").splitlines()
    assert json.loads(kept[0])["message_id"] == "m1"
    assert json.loads(kept[1])["address"] == "c2@example.com"
    with duckdb.connect() as con:
        rows = con.execute(f"from '{home}/decisions/d.parquet'").fetchall()
    assert sorted(rows) == sorted([(done.pseudonym, "birthday"), ("C2", "x")])


def test_quarantine_keeps_that_a_row_was_wrong_and_nothing_else(crm: Crm) -> None:
    before = crm.quarantine("entity, line, waiting")
    done = erase(crm.settings, "C1", "asked for it", NOW)
    assert crm.quarantine("entity, line, waiting") == before
    told = crm.quarantine("entity, key, raw")
    assert ("tickets", "T3", "(erased)") in told
    assert ("contacts", done.pseudonym, "(erased)") in told
    (consent,) = [key for entity, key, _ in told if entity == "consents"]
    assert consent.startswith(f"{done.pseudonym}/prank/email/")
    assert any("c99@example.com" in str(raw) for _, _, raw in told)


def test_the_ledger_keeps_its_rows_and_writes_to_nobody(crm: Crm) -> None:
    extras(crm)
    done = erase(crm.settings, "C1", "asked for it", NOW)
    with open_ledger(crm.settings) as ledger, ledger.read() as con:
        found = con.execute(
            select(messages.c.message_id, messages.c.customer_id, messages.c.state)
        ).all()
        assert sorted(map(tuple, found)) == [
            ("m1", done.pseudonym, "sent"), ("m2", "C2", "planned"), ("m9", done.pseudonym, "cancelled"),
        ]  # fmt: skip
        changed = con.execute(select(events.c.message_id, events.c.state, events.c.reason)).all()
        assert changed == [("m9", "cancelled", "erased")]
        keys = set(con.scalars(select(suppressions.c.key)))
    salt = ledger.fact("salt")
    wanted = {"old.li@example.com", "new.li@example.com", "13911112222", "13933334444"}
    assert keys == {address_hash(salt, a) for a in wanted} | {done.pseudonym}


def test_the_mirror_of_the_ledger_follows(crm: Crm) -> None:
    with open_ledger(crm.settings) as ledger:
        plan(ledger, "m1")
        plan(ledger, "m2", customer_id="C2")
        receipts = [
            Receipt(kind="unsubscribed", message_id=name, at=NOW, receipt_id=name)
            for name in ("m1", "m2")
        ]
        record(ledger, receipts, Feedback(), NOW)
        export(ledger, crm.settings)
        mirrored = {
            table: [str(path) for path in files(crm.settings, table)]
            for table in ("messages", "feedback", "suppressions")
        }
        done = erase(crm.settings, "C1", "asked for it", NOW)
        export(ledger, crm.settings)
    with duckdb.connect() as con:
        for table, column in (("messages", "customer_id"), ("feedback", "customer_id"),
                              ("suppressions", "key")):  # fmt: skip
            found = con.execute(f"select {column} from read_parquet(?)", [mirrored[table]])
            assert {row[0] for row in found.fetchall()} == {"C2", done.pseudonym}


def test_who_is_exported_again_stays_erased(crm: Crm) -> None:
    """The CRM was not told, and exports the customer with a newer date, well and badly formed."""
    done = erase(crm.settings, "C1", "asked for it", NOW)
    crm.put("contacts-3.csv", HEAD + "C1,王小莉之名,new.li@example.com,13933334444,,2026-12-01\n"
            "C2,陈二,other@example.com,13800000002,,2026-12-01\n")  # fmt: skip
    crm.put("customers.csv", "customer_id,registered_at,birthday,interests\n"
            "C1,2025-01-02,1988-08-08,likes orchids\nC2,2025-01-03,1990-01-01,tea\n")  # fmt: skip
    crm.put("tickets-2.csv", "ticket_id,customer_id,opened_at,description\n"
            "T8,C1,2026-11-21,her angry words\nT9,C1,never,her angry words\n")  # fmt: skip
    crm.put("contacts-4.csv", HEAD + "C1,王小莉之名,new.li@example.com,13933334444,,not a day\n")
    crm.load()
    assert files_with(crm.settings.home, SECRETS) == []
    contacts = {r[0]: r for r in crm.rows("contacts", "customer_id, email")}
    assert contacts[done.pseudonym] == (done.pseudonym, None)
    assert contacts["C2"] == ("C2", "other@example.com")
    assert "C1" not in contacts
    assert len(crm.rows("customers")) == 4
    assert ("T8", done.pseudonym, None) in crm.rows(
        "tickets", "ticket_id, customer_id, description"
    )
    assert ("tickets", "T9", "(erased)") in crm.quarantine("entity, key, raw")
    # Who only waited in quarantine can be erased, too, and is released under the pseudonym.
    other = erase(crm.settings, "C99", "asked for it", NOW)
    assert files_with(crm.settings.home, ("c99@example.com", "13800000099")) == []
    crm.put("customers.csv", "customer_id,registered_at\nC99,2026-11-01\n")
    crm.load()
    assert (other.pseudonym, None) in crm.rows("contacts", "customer_id, email")


def test_an_erasure_that_broke_off_is_ended_by_doing_it_again(
    crm: Crm, monkeypatch: pytest.MonkeyPatch
) -> None:
    extras(crm)
    before = figures(crm)
    steps = ("erase_in_ledger", "rewrite_other_tables", "_drop_working_files", "rewrite_lake")
    for step in steps:
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(erasing, step, fail)
            with pytest.raises(KeyboardInterrupt):
                erase(crm.settings, "C1", "asked for it", NOW)
    last = erase(crm.settings, "C1", "asked for it", NOW)
    again = erase(crm.settings, "C1", "to be sure", NOW)
    assert files_with(crm.settings.home, SECRETS) == []
    assert (again.pseudonym, again.files) == (last.pseudonym, 0)
    assert figures(crm) == before
    assert Erasures(crm.settings.lake).names == {last.pseudonym}
    with open_ledger(crm.settings) as ledger, ledger.read() as con:
        assert len(con.execute(select(suppressions.c.key)).all()) == 5


def test_it_needs_a_reason_and_a_customer_and_is_logged(crm: Crm) -> None:
    for customer, why, fault in (("C1", " ", "reason"), ("C77", "asked", "no customer 'C77'")):
        with pytest.raises(SettingsError, match=fault):
            erase(crm.settings, customer, why, NOW)
    assert not accesses(crm.settings)
    done = erase(crm.settings, "C1", "asked for it", NOW)
    (entry,) = accesses(crm.settings)
    assert (entry.customer_id, entry.why) == (done.pseudonym, "erasure: asked for it")
    assert not [
        n for n in (crm.settings.lake / "erasures.jsonl").read_text().split('"') if n == "C1"
    ]


def test_a_run_after_an_erasure_is_another_run(crm: Crm) -> None:
    as_of = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    pack = load_program("retail_care")
    before = run_info(Lake(crm.settings.lake), pack, as_of)
    erase(crm.settings, "C1", "asked for it", NOW)
    assert run_info(Lake(crm.settings.lake), pack, as_of).run_id != before.run_id


def test_a_lost_key_is_told_before_anyone_comes_back(crm: Crm) -> None:
    erase(crm.settings, "C1", "asked for it", NOW)
    (crm.settings.lake / ".erasure-key").unlink()
    crm.put("contacts-6.csv", HEAD + "C1,王小莉之名,new.li@example.com,13933334444,,2026-12-01\n")
    assert [str(e).split("\n")[0].rsplit("/", 1)[1] for e in crm.load().refused] == [
        ".erasure-key is missing"
    ]


def test_others_with_the_same_address_are_counted(crm: Crm) -> None:
    crm.put("contacts-5.csv", HEAD + "C-1,,NEW.li@example.com,+86 13911112222,,2026-06-02\n")
    crm.load()
    assert erase(crm.settings, "C1", "asked for it", NOW).shared == 1


@pytest.mark.slow
def test_published_history_goes_on_under_the_pseudonym(tmp_path: Path) -> None:
    # One lake, one erasure, and the day after.
    folder = tmp_path / "crm"
    make_sample(folder, 150, 5, dt.date(2026, 11, 1), 0.01, "auto")
    settings = load_settings(
        home=tmp_path / "home", program="retail_care", sources=[folder / "online", folder / "store"]
    )
    refresh_once(settings, "2026-10-31", Steps(quiet=True))

    def rows(sql: str) -> list[tuple]:
        return query(settings, sql)[1]

    figures = (
        "select date_trunc('month', ordered_at) as month, count(*), sum(amount_program) "
        "from fct_orders where ordered_at < '2026-10-01' group by all order by all"
    )
    totals = rows(figures)
    (customer,) = rows("select min(customer_id) from dim_customers where orders_total > 1")[0]
    changes = rows(f"select count(*) from fct_customer_changes where customer_id = '{customer}'")
    done = erase(settings, customer, "asked for it", NOW)
    refresh_once(settings, "2026-11-01", Steps(quiet=True))
    assert rows(figures) == totals
    assert rows(f"select 1 from dim_customers where customer_id = '{done.pseudonym}'")
    assert not rows(f"select 1 from dim_customers where customer_id = '{customer}'")
    kept = rows(f"select count(*) from fct_customer_changes where customer_id = '{done.pseudonym}' "
                "and as_of < '2026-10-31'")  # fmt: skip
    assert kept == changes
    gone = rows("select sum(customers) from rpt_segment_flows where to_value = '(gone)'")
    assert gone in ([(None,)], [(0,)], [])
