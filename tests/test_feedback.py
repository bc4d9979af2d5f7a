"""What comes back: over real HTTP and by file, once or often, forged or genuine."""

import datetime as dt
import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy import insert, select
from typer.testing import CliRunner

from careloop.cli.main import app
from careloop.errors import SettingsError
from careloop.feedback import KINDS, Receipt, import_receipts, record
from careloop.feedback.limits import SENDERS, Buckets
from careloop.feedback.receiver import MOST_BYTES, create_app
from careloop.feedback.signature import receipt_secrets, signature
from careloop.ledger.database import Ledger, open_ledger
from careloop.ledger.suppressions import address_hash
from careloop.ledger.tables import feedback, messages, suppressions
from careloop.messages.links import sign
from careloop.program.contact import Feedback
from careloop.settings import Settings
from test_sources import Crm

NOW = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC)
SECRET = "a long secret of the tests"
RULES = Feedback(soft_bounces=3, soft_bounces_within="30d")
NUMBER = itertools.count(1)


def plan(ledger: Ledger, name: str, **other: Any) -> None:
    """A message in the ledger that was sent."""
    number = next(NUMBER)
    row = {
        "message_id": name, "decision_key": f"d-{name}", "customer_id": "C1", "rule": "birthday",
        "rule_version": "v", "occasion": "o", "purpose": "marketing", "channel": "email",
        "kind": "send", "is_cap_exempt": False, "pack": "retail_care", "pack_hash": "h",
        "as_of": dt.datetime(2026, 11, 1), "priority": 1, "order_no": number, "route": "email",
        "state": "sent", "state_at": dt.datetime(2026, 11, 1), "attempts": 1, "failures": 0,
        "next_attempt_at": dt.datetime(2026, 11, 1), **other,
    }  # fmt: skip
    with ledger.write() as con:
        con.execute(insert(messages).values(row))


def rows(ledger: Ledger, table: Any, *names: str) -> list[tuple]:
    with ledger.read() as con:
        return sorted(
            (tuple(r) for r in con.execute(select(*(table.c[n] for n in names)))), key=repr
        )


def receipt(kind: str, message_id: str = "m1", days: float = 0, **other: Any) -> Receipt:
    return Receipt(kind=kind, message_id=message_id, at=NOW - dt.timedelta(days=days), **other)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(Settings(home=tmp_path)) as one:
        for name in ("m1", "m2", "m3", "m4"):
            plan(one, name)
        yield one


# -- consequences ----------------------------------------------------------------------------------


def test_the_same_receipt_counts_once(ledger: Ledger) -> None:
    first = record(ledger, [receipt("opened")] * 3, RULES, NOW)
    again = record(ledger, [receipt("opened"), receipt("opened", days=1)], RULES, NOW)
    assert (first.new, first.known) == (1, 2)
    assert (again.new, again.known) == (1, 1)
    named = [receipt("clicked", receipt_id="r9"), receipt("clicked", days=2, receipt_id="r9")]
    assert record(ledger, named, RULES, NOW).new == 1
    assert len(rows(ledger, feedback, "feedback_id")) == 3


def test_many_bring_the_same_at_once(ledger: Ledger) -> None:
    receipts = [receipt("unsubscribed"), receipt("hard_bounce", "m2", address="a@b.cn")]
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: record(ledger, receipts, RULES, NOW), range(24)))
    assert sum(t.new for t in told) == 2
    assert len(rows(ledger, suppressions, "key")) == sum(t.suppressed for t in told) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_from_each_kind(ledger: Ledger, kind: str) -> None:
    record(ledger, [receipt(kind, address="Ann@Example.com")], RULES, NOW)
    hashed = address_hash(ledger.fact("salt"), "ann@example.com ")
    wanted = {
        "hard_bounce": [("address", hashed, "email", None)],
        "complaint": [("customer", "C1", None, p) for p in ("care", "marketing", "survey")],
        "unsubscribed": [("customer", "C1", "email", "marketing")],
    }
    found = rows(ledger, suppressions, "scope", "key", "channel", "purpose")
    assert found == wanted.get(kind, [])
    assert rows(ledger, feedback, "kind", "message_id", "customer_id") == [(kind, "m1", "C1")]


def test_soft_bounces_end_an_address_when_there_are_too_many(ledger: Ledger) -> None:
    def soft(name: str, days: float, n: int = 0) -> Receipt:
        return receipt("soft_bounce", name, days, address="a@b.cn", receipt_id=f"{name}{n}")

    # One message that bounces often is one; two far apart and one more are not yet three.
    few = [soft("m1", 60, n) for n in range(9)] + [soft("m2", 20), soft("m3", 1)]
    record(ledger, few, RULES, NOW)
    assert rows(ledger, suppressions, "key") == []
    # The third within 30 days comes late and out of order.
    record(ledger, [soft("m4", 10)], RULES, NOW)
    found = rows(ledger, suppressions, "scope", "channel", "reason", "at_utc")
    assert found == [
        ("address", "email", "3 soft bounces", (NOW - dt.timedelta(days=1)).replace(tzinfo=None))
    ]


def test_other_channels_and_customers_do_not_add_up(ledger: Ledger) -> None:
    plan(ledger, "s1", channel="sms")
    plan(ledger, "x1", customer_id="C2")
    names = ("m1", "m2", "s1", "x1")
    record(ledger, [receipt("soft_bounce", n, address="a@b.cn") for n in names], RULES, NOW)
    assert rows(ledger, suppressions, "key") == []


def test_a_lifted_suppression_stays_lifted_when_its_receipt_comes_again(ledger: Ledger) -> None:
    from careloop.ledger.suppressions import lift

    record(ledger, [receipt("unsubscribed")], RULES, NOW)
    ((name,),) = rows(ledger, suppressions, "suppression_id")
    with ledger.write() as con:
        assert lift(con, name, NOW.replace(tzinfo=None))
    record(ledger, [receipt("unsubscribed")], RULES, NOW)
    ((lifted,),) = rows(ledger, suppressions, "lifted_at")
    assert lifted


def test_a_bounce_without_known_address_ends_the_channel(ledger: Ledger) -> None:
    record(ledger, [receipt("hard_bounce")], RULES, NOW)
    assert rows(ledger, suppressions, "scope", "key", "channel") == [("customer", "C1", "email")]


def test_nothing_personal_is_kept(ledger: Ledger, tmp_path: Path) -> None:
    detail = "550 5.1.1 <ann.secret@example.com>: Ann Secret unknown, call 13800138000"
    told = receipt("hard_bounce", address="ann.secret@example.com", detail=detail)
    record(ledger, [told], RULES, NOW)
    assert rows(ledger, feedback, "detail") == [("5.1.1",)]
    ledger.close()
    for file in tmp_path.rglob("*"):
        if file.is_file():
            body = file.read_bytes().lower()
            assert b"secret" not in body, file
            assert b"13800138000" not in body, file


def test_receipts_by_the_providers_id_and_of_unknown_messages(ledger: Ledger) -> None:
    plan(ledger, "p1", provider_id="sms-77")
    at = NOW
    found = record(
        ledger,
        [
            Receipt(kind="delivered", at=at, message_id="nobody"),
            Receipt(kind="delivered", at=at, provider_id="sms-77"),
            Receipt(kind="delivered", at=at, provider_id="sms-78"),
        ],
        RULES,
        NOW,
    )
    assert (found.new, found.unmatched) == (1, [0, 2])
    assert rows(ledger, feedback, "message_id") == [("p1",)]


# -- by file ---------------------------------------------------------------------------------------


def test_receipts_by_file(tmp_path: Path) -> None:
    crm = Crm(tmp_path)
    mapping = (crm.folder / "source.yml").read_text("utf-8").rstrip("\n") + (
        "\n  receipts:\n    file: receipts*.csv\n  contacts:\n    file: contacts*.csv\n"
    )
    crm.put("source.yml", mapping)
    head = "receipt_id,message_id,provider_id,kind,at,detail\n"
    crm.put("contacts.csv", "customer_id,email,phone\nC1,c1@example.com,13800138000\n")
    crm.put("receipts-1.csv", head + "r1,m1,,delivered,2026-11-20 17:00,\n"
            "r2,m1,,hard_bounce,2026-11-20 17:05,550 5.1.1 c1@example.com unknown\n"
            "r3,,late-1,opened,2026-11-20 17:06,\nr4,,,opened,2026-11-20 17:06,\n")  # fmt: skip
    assert not crm.load().refused
    with open_ledger(crm.settings) as ledger:
        plan(ledger, "m1")
        found = import_receipts(crm.settings, ledger, RULES, NOW)
        assert (found.read, found.new, found.unmatched, found.suppressed) == (3, 2, 1, 1)
        hashed = address_hash(ledger.fact("salt"), "c1@example.com")
        assert rows(ledger, suppressions, "key", "channel") == [(hashed, "email")]
        assert rows(ledger, feedback, "at_utc")[0] == (dt.datetime(2026, 11, 20, 9),)
        # The dispatcher writes the provider's id down a moment later: the receipt is not lost.
        plan(ledger, "m2", provider_id="late-1")
        found = import_receipts(crm.settings, ledger, RULES, NOW)
        assert (found.new, found.known, found.unmatched) == (1, 2, 0)
        assert import_receipts(crm.settings, ledger, RULES, NOW).read == 0
        crm.put("receipts-2.csv", head + "r1,m1,,delivered,2026-11-20 17:00,\n"
                "r5,m1,,replied,2026-11-20 18:00,\n")  # fmt: skip
        crm.load()
        found = import_receipts(crm.settings, ledger, RULES, NOW)
        assert (found.read, found.new, found.known) == (2, 1, 1)
        (crm.settings.home / "receipts_imported.json").unlink()
        found = import_receipts(crm.settings, ledger, RULES, NOW)
        assert (found.new, found.known, found.suppressed) == (0, 4, 0)


def test_who_agrees_again_is_no_longer_unsubscribed(tmp_path: Path) -> None:
    crm = Crm(tmp_path)
    mapping = (crm.folder / "source.yml").read_text("utf-8").rstrip("\n")
    crm.put("source.yml", mapping + "\n  consents:\n    file: consents*.csv\n")
    head = "customer_id,purpose,channel,changed_at,granted\n"
    crm.put("consents.csv", head + "C1,marketing,email,2026-11-19 10:00,true\n"
            "C1,marketing,sms,2026-11-21 10:00,true\nC1,care,email,2026-11-21 10:00,true\n"
            "C1,marketing,email,2026-11-21 10:00,false\n")  # fmt: skip
    assert not crm.load().refused
    with open_ledger(crm.settings) as ledger:
        plan(ledger, "m1")
        record(ledger, [receipt("unsubscribed")], RULES, NOW)
        assert import_receipts(crm.settings, ledger, RULES, NOW).lifted == 0
        crm.put("consents-2.csv", head + "C1,marketing,email,2026-11-22 08:00,true\n")
        crm.load()
        assert import_receipts(crm.settings, ledger, RULES, NOW).lifted == 1
        assert rows(ledger, suppressions, "lifted_at") == [(dt.datetime(2026, 11, 22),)]
        assert import_receipts(crm.settings, ledger, RULES, NOW).lifted == 0


def test_commands_import_and_erase(tmp_path: Path) -> None:
    crm = Crm(tmp_path)
    crm.load()
    home = str(crm.settings.home)
    told = CliRunner().invoke(app, ["feedback", "import", "--home", home, "--json"])
    assert json.loads(told.output)["read"] == 0
    asked = ["erase", "C1", "--reason", "asked for it", "--home", home]
    assert CliRunner().invoke(app, asked, input="n\n").exit_code == 1
    assert not (crm.settings.lake / "erasures.jsonl").exists()
    done = CliRunner().invoke(app, [*asked, "--yes", "--json"])
    assert json.loads(done.output)["pseudonym"].startswith("erased-")
    assert isinstance(
        CliRunner().invoke(app, asked[:2] + asked[4:] + ["--yes"]).exception, SettingsError
    )


# -- over HTTP -------------------------------------------------------------------------------------


@dataclass
class Server:
    url: str
    ledger: Ledger
    moment: list[dt.datetime]

    def post(
        self, body: Any, *, secret: str = SECRET, at: int | None = None, **headers: str
    ) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = str(int(self.moment[0].timestamp()) if at is None else at)
        signed = {
            "X-Careloop-Timestamp": stamp,
            "X-Careloop-Signature": signature(secret, stamp, raw),
            **headers,
        }
        return httpx.post(f"{self.url}/receipts", content=raw, headers=signed)


def start(
    settings: Settings, moment: list[dt.datetime], **options: Any
) -> tuple[uvicorn.Server, str]:
    app = create_app(settings, RULES, clock=lambda: moment[0], **options)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, access_log=False, log_level="warning")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.run, args=([listener],), daemon=True).start()
    until = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    return server, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def server(tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("CARELOOP_RECEIPT_SECRET", f"{SECRET}, {SECRET} that follows")
    monkeypatch.setenv("CARELOOP_LINK_SECRET", "a secret that signs the links")
    moment = [NOW]
    running, url = start(Settings(home=tmp_path), moment)
    yield Server(url, ledger, moment)
    running.should_exit = True


def body(kind: str = "opened", **other: Any) -> dict[str, Any]:
    return {"message_id": "m1", "kind": kind, "at": "2026-11-20T08:59:00Z", **other}


def test_signed_receipts_are_taken_once(server: Server) -> None:
    answer = server.post([body(), body("clicked"), body(message_id="nobody")])
    assert (answer.status_code, answer.json()) == (
        200, {"new": 2, "known": 0, "unmatched": [2], "suppressed": 0}
    )  # fmt: skip
    again = server.post([body(), body("clicked")], secret=f"{SECRET} that follows")
    assert again.json() == {"new": 0, "known": 2, "unmatched": [], "suppressed": 0}
    assert server.post(body(message_id="nobody")).status_code == 404
    assert len(rows(server.ledger, feedback, "kind")) == 2


def test_forged_stale_and_unsigned_requests_change_nothing(server: Server) -> None:
    now = int(NOW.timestamp())
    raw = json.dumps(body()).encode()
    good = signature(SECRET, str(now), raw)
    cases = [
        ({}, "not signed"),
        ({"X-Careloop-Timestamp": str(now)}, "not signed"),
        ({"X-Careloop-Timestamp": str(now), "X-Careloop-Signature": "v1=" + "0" * 64}, "wrong"),
        ({"X-Careloop-Timestamp": str(now + 1), "X-Careloop-Signature": good}, "wrong"),
        ({"X-Careloop-Timestamp": str(now), "X-Careloop-Signature": good[3:]}, "wrong"),
        ({"X-Careloop-Timestamp": str(now), "X-Careloop-Signature": "v1=é"}, "wrong"),
        ({"X-Careloop-Timestamp": "soon", "X-Careloop-Signature": good}, "whole seconds"),
        ({"X-Careloop-Timestamp": "9" * 400, "X-Careloop-Signature": good}, "whole seconds"),
    ]
    for headers, why in cases:
        sent = {k: v.encode() for k, v in headers.items()}
        answer = httpx.post(f"{server.url}/receipts", content=raw, headers=sent)
        assert answer.status_code == 401, headers
        assert why in answer.json()["error"]
    tampered = server.post(raw, secret="another long secret of nobody")
    assert tampered.status_code == 401
    for shift in (-301, 301):
        stale = server.post(raw, at=now + shift)
        assert (stale.status_code, "300 s" in stale.json()["error"]) == (401, True)
    assert rows(server.ledger, feedback, "kind") == []
    # What was recorded from the wire is worthless five minutes later.
    assert server.post(raw, at=now).status_code == 200
    server.moment[0] = NOW + dt.timedelta(seconds=302)
    assert server.post(raw, at=now).status_code == 401


def test_bad_bodies_get_a_clear_answer_without_their_values(server: Server) -> None:
    secretive = "ann.secret@example.com"
    cases = [
        (b"{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b"\xff\xfe", 400, "no JSON"),
        ([], 422, "1 to 1000"),
        ([body()] * 1001, 422, "1 to 1000"),
        (body(secretive), 422, "0.kind"),
        (body(at=secretive), 422, "0.at"),
        (body(at="2026-11-20T08:59:00"), 422, "0.at"),
        (body(at="2026-11-20T12:59:00Z"), 422, "future"),
        (body(message_id=None), 422, "message_id or provider_id"),
        (body(**{secretive: 1}), 422, "not known"),
        ([body(), secretive], 422, "1:"),
        (b"x" * (MOST_BYTES + 1), 413, "bytes"),
    ]
    for content, status, why in cases:
        answer = server.post(content)
        assert answer.status_code == status, (why, answer.text)
        assert why in answer.json()["error"]
        assert secretive not in answer.text
    assert httpx.get(f"{server.url}/receipts").status_code == 405
    assert httpx.get(f"{server.url}/docs").status_code == 404
    assert rows(server.ledger, feedback, "kind") == []


def test_a_body_without_length_is_limited_too(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 10_000

    answer = httpx.post(f"{server.url}/receipts", content=endless())
    assert answer.status_code == 413


def test_unsubscribing_by_one_click_and_by_the_button(server: Server) -> None:
    link = f"{server.url}/u/{sign('m1')}"
    page = httpx.get(link)
    assert page.status_code == 200
    for text in ("退订", "Unsubscribe", '<form method="post">'):
        assert text in page.text
    assert page.headers["cache-control"] == "no-store"
    # Mail scanners follow links: looking changes nothing.
    assert rows(server.ledger, suppressions, "key") == []
    one_click = httpx.post(link, data={"List-Unsubscribe": "One-Click"})
    assert (one_click.status_code, len(one_click.history)) == (200, 0)
    wanted = [("customer", "C1", "email", "marketing", "unsubscribed")]
    names = ("scope", "key", "channel", "purpose", "reason")
    assert rows(server.ledger, suppressions, *names) == wanted
    server.moment[0] = NOW + dt.timedelta(hours=1)
    assert httpx.post(link).status_code == 200
    assert rows(server.ledger, suppressions, *names) == wanted
    assert rows(server.ledger, feedback, "kind") == [("unsubscribed",)]


def test_links_that_are_not_ours(server: Server) -> None:
    good = sign("m1")
    forged = good[:-2] + ("AA" if good[-2:] != "AA" else "BB")
    for token in (forged, "x", "<script>", "a" * 5000, sign("m1", "some other secret of nobody")):
        for call in (httpx.get, httpx.post):
            answer = call(f"{server.url}/u/{token}")
            assert answer.status_code == 404
            assert "<script>" not in answer.text
    assert httpx.post(f"{server.url}/u/{sign('nobody')}").status_code == 404
    assert rows(server.ledger, suppressions, "key") == []


def test_too_many_requests_are_slowed_down(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARELOOP_RECEIPT_SECRET", SECRET)
    monkeypatch.setenv("CARELOOP_LINK_SECRET", "a secret that signs the links")
    ticks = [0.0]
    running, url = start(
        Settings(home=tmp_path), [NOW], ticks=lambda: ticks[0], per_second=1, burst=20
    )
    try:
        codes = [httpx.get(f"{url}/u/x").status_code for _ in range(4)]
        assert codes == [404, 404, 429, 429]
        answer = httpx.get(f"{url}/u/x")
        ticks[0] += int(answer.headers["retry-after"])
        assert httpx.get(f"{url}/u/x").status_code == 404
        assert httpx.get(f"{url}/healthz").status_code == 200
    finally:
        running.should_exit = True


def test_senders_remembered_are_limited() -> None:
    buckets = Buckets(1, 2)
    for i in range(SENDERS + 50):
        assert buckets.wait(f"s{i}", 0.0) == 0
    assert len(buckets._seen) == SENDERS


def test_a_ledger_that_does_not_answer_is_a_503(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.exc import OperationalError

    def fail(*_: object) -> None:
        raise OperationalError("select 1", {}, Exception("gone"))

    monkeypatch.setattr(Ledger, "write", fail)
    assert server.post(body()).status_code == 503
    answer = httpx.post(f"{server.url}/u/{sign('m1')}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


def test_nothing_that_came_in_is_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = sign("m1")
    server.post(body("hard_bounce", address="ann.secret@example.com"))
    server.post(body(message_id="ann.secret@example.com"))
    httpx.post(f"{server.url}/u/{token}")
    own = [r.getMessage() for r in caplog.records if not r.name.startswith("http")]
    assert own
    assert not [line for line in own if "secret@" in line or token in line]


def test_without_secrets_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_LINK_SECRET", "a secret that signs the links")
    for value in ("", "short", f"{SECRET},short"):
        monkeypatch.setenv("CARELOOP_RECEIPT_SECRET", value)
        with pytest.raises(SettingsError, match="CARELOOP_RECEIPT_SECRET"):
            receipt_secrets()
        with pytest.raises(SettingsError):
            create_app(Settings(home=tmp_path), RULES, lambda: NOW)
