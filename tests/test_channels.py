"""Channels against a real SMTP server, a real HTTP receiver and a real Apprise plugin."""

import asyncio
import email
import json
import logging
import os
import re
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from typer.testing import CliRunner

from careloop.channels.base import (
    ChannelDown,
    PermanentError,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.channels.file import FileChannel
from careloop.channels.mail import compose
from careloop.channels.options import SmtpOptions, WebhookOptions, is_mail_address
from careloop.channels.private import scrubbed
from careloop.channels.registry import NAMES, notify, open_channels, options_of, setups
from careloop.channels.smtp import SmtpChannel
from careloop.channels.webhook import WebhookChannel, signature
from careloop.cli.main import app
from careloop.errors import SettingsError
from careloop.settings import Settings

NOW = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
LINK = "https://care.example.com/u/" + "a1B2-_." * 14 + "?c=1"
SUBJECT = "您好，王小明：您的订单已经发货，感谢您一直以来对我们的支持与信任，祝您生活愉快 🎁"


def message(number: int = 1, to: str | None = "wang@example.com", **changes: Any) -> Rendered:
    made = Rendered(
        message_id=f"{number:032x}",
        decision_key=f"{number:032x}",
        customer_id="C1",
        rule="order_shipped",
        purpose="service",
        channel="email",
        locale="zh-CN",
        address=to,
        subject=SUBJECT,
        text="王小明：\n\n您的订单已发货。\n.\n..点\n",
        html="<!doctype html><p>王小明，您的订单已发货。</p>",
        unsubscribe_url=LINK,
        about={"order_id": "O1"},
    )
    return replace(made, **changes)


# -- e-mail --------------------------------------------------------------------------------------


class Mailbox:
    """An SMTP server's behaviour by recipient; keeps what it accepted."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.sessions: list[Any] = []
        self.senders: list[str] = []
        self.per_connection: int | None = None
        self.dropped = 0
        self.pipelining = False

    async def handle_EHLO(self, _server, session, _envelope, hostname, responses):
        session.host_name = hostname
        return [responses[0], *["250-PIPELINING"] * self.pipelining, *responses[1:]]

    async def handle_MAIL(self, _server, session, envelope, address, _):
        used = getattr(session, "used", 0)
        session.used = used + 1
        if address.startswith("stranger"):
            return "550 5.7.1 sender not allowed"
        if self.per_connection is not None and used >= self.per_connection:
            return "421 4.7.0 that is enough for one connection"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, _session, envelope, address, _):
        who = address.split("@")[0]
        answers = {
            "nobody": f"550 5.1.1 <{address}>: Recipient address rejected: nobody is unknown",
            "old": "550 no such mailbox",
            "relay": f"554 5.7.1 <{address}>: Relay access denied",
            "busy": "451 4.7.1 greylisted, try again",
            "full": "552 5.2.2 mailbox full",
            "login": "530 5.7.0 authenticate first",
            "closing": "421 4.3.2 shutting down",
        }
        if who in answers:
            return answers[who]
        if who == "slow":
            await asyncio.sleep(1.2)
        if who == "drop":
            self.dropped += 1
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        who = envelope.rcpt_tos[0].split("@")[0]
        if who == "spam":
            return "554 5.7.1 content refused"
        if who == "later":
            return "452 4.3.1 no room"
        self.mails.append(email.message_from_bytes(envelope.content, policy=policy.default))
        self.sessions.append(session)
        self.senders.append(envelope.mail_from)
        if who == "silent":
            await asyncio.sleep(1.2)
        if who == "cut":
            server.transport.abort()
        return "250 2.0.0 Ok: queued as 4ABC123"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(params=["one by one", "together"])
def server(request) -> Iterator[Any]:
    """Mail servers that want each command answered before the next, or take some together."""
    running = []

    def start(**options: Any) -> SimpleNamespace:
        box = Mailbox()
        box.pipelining = request.param == "together"
        controller = Controller(box, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        running.append(controller)
        return SimpleNamespace(box=box, port=controller.port)

    yield start
    for controller in running:
        controller.stop()


def smtp(port: int, password: str | None = None, **options: Any) -> SmtpChannel:
    told = {"host": "127.0.0.1", "port": port, "security": "none", **options}
    made = SmtpOptions(type="smtp", from_address="care@shop.example", from_name="示例商城", **told)
    return SmtpChannel("email", made, password, lambda: NOW)


def test_a_mail_arrives_as_it_was_meant(server) -> None:
    there = server()
    options = {
        "reply_to": "help@shop.example",
        "bounce_address": "bounce+{message_id}@shop.example",
    }
    with smtp(there.port, **options) as channel:
        receipt = channel.send(message())
    assert receipt.provider_id == "4ABC123"
    mail = there.box.mails[0]
    assert mail["Subject"] == SUBJECT
    assert mail["From"] == "示例商城 <care@shop.example>"
    assert mail["To"] == "wang@example.com"
    assert mail["Reply-To"] == "help@shop.example"
    assert mail["Message-ID"] == f"<{1:032x}@shop.example>"
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert there.box.senders == [f"bounce+{1:032x}@shop.example"]
    assert mail.get_content_type() == "multipart/alternative"
    plain, page = mail.iter_parts()
    assert plain.get_content_type(), page.get_content_type() == ("text/plain", "text/html")
    assert plain.get_content().replace("\r\n", "\n") == "王小明：\n\n您的订单已发货。\n.\n..点\n"
    assert page.get_content().strip() == "<!doctype html><p>王小明，您的订单已发货。</p>"
    assert not mail.defects
    assert not plain.defects


def test_the_bytes_are_the_same_each_time_and_fit_the_wire() -> None:
    options = smtp(25).options
    data = compose(message(), options, NOW)
    assert data == compose(message(), options, NOW)
    lines = data.split(b"\r\n")
    # Mail programs can't follow an unsubscribe address that was broken into encoded words.
    assert f"List-Unsubscribe: <{LINK}>".encode() in lines
    assert max(map(len, lines)) < 998
    words = re.findall(rb"=\?utf-8\?\w\?[^?]*\?=", data)
    assert len(words) > 2
    assert max(map(len, words)) <= 75
    assert b"\n" not in data.replace(b"\r\n", b"")
    assert b"C1" not in data.split(b"\r\n\r\n")[0].replace(b"=?utf-8?", b"")


def test_ascii_text_stays_readable_and_dots_survive(server) -> None:
    there = server()
    text = ".starts with a dot\n\n.\n..two\n" + "x" * 800 + "\nend"
    with smtp(there.port) as channel:
        channel.send(message(1, subject="Shipped: =?no?=", text=text, html=None))
        channel.send(
            message(2, text="long " * 400, html=None, unsubscribe_url="http://localhost/u")
        )
    first, second = there.box.mails
    assert first["Content-Transfer-Encoding"] == "7bit"
    assert first.get_content().replace("\r\n", "\n") == text + "\n"
    assert first["Subject"] == "Shipped: =?no?="
    assert second["Content-Transfer-Encoding"] == "base64"
    assert second["List-Unsubscribe"] == "<http://localhost/u>"
    assert second["List-Unsubscribe-Post"] is None


@pytest.mark.parametrize(
    ("change", "bad_address"),
    [
        ({"subject": "Hi\r\nBcc: all@example.com"}, False),
        ({"subject": "Hi\u2028there"}, False),
        ({"address": "a@example.com\r\nRCPT TO:<b@example.com>"}, True),
        ({"address": "a@example.com>,<b@example.com"}, True),
        ({"address": "a@example.com, b@example.com"}, True),
        ({"address": "a b@example.com"}, True),
        ({"address": "example.com"}, True),
        ({"address": None}, True),
        ({"address": "a@exam..ple.com"}, True),
        ({"unsubscribe_url": "https://x.example/\r\nBcc: b@example.com"}, False),
        ({"unsubscribe_url": "javascript:alert(1)"}, False),
        ({"message_id": "x>\r\nBcc: b@example.com"}, False),
    ],
)
def test_nothing_can_be_slipped_into_a_mail(server, change, bad_address) -> None:
    there = server()
    change = dict(change)
    with smtp(there.port) as channel, pytest.raises(PermanentError) as caught:
        channel.send(
            message(**({"to": change.pop("address")} if "address" in change else {}), **change)
        )
    assert caught.value.bad_address is bad_address
    assert there.box.mails == []


def test_mail_addresses() -> None:
    good = ["a@b.cn", "a.b+c@sub.example.com", "o'neil@example.com", "x@localhost", "a@例子.cn"]
    bad = [
        "",
        "a",
        "@b.cn",
        "a@",
        "a@b@c",
        "a@-b.cn",
        ".a@b.cn",
        "a..b@c.cn",
        "a@b.cn\n",
        " a@b.cn",
        '"a"@b.cn',
        "a@b..cn",
        "x" * 65 + "@b.cn",
    ]
    assert [address for address in good if not is_mail_address(address)] == []
    assert [address for address in bad if is_mail_address(address)] == []


@pytest.mark.parametrize(
    ("who", "kind", "bad_address"),
    [
        ("nobody", PermanentError, True),
        ("old", PermanentError, True),
        ("relay", PermanentError, False),
        ("spam", PermanentError, False),
        ("busy", TemporaryError, None),
        ("full", TemporaryError, None),
        ("later", TemporaryError, None),
        ("drop", TemporaryError, None),
        ("login", ChannelDown, None),
        ("closing", ChannelDown, None),
        ("cut", UnknownOutcome, None),
    ],
)
def test_a_refusal_says_what_it_means_and_holds_nobody_up(server, who, kind, bad_address) -> None:
    there = server()
    with smtp(there.port) as channel:
        channel.send(message(1))
        with pytest.raises(kind) as caught:
            channel.send(message(2, f"{who}@example.com"))
        channel.send(message(3))
    assert type(caught.value) is kind
    if bad_address is not None:
        assert caught.value.bad_address is bad_address
    assert "@" not in caught.value.reason
    assert "nobody" not in caught.value.reason
    kept = [mail["Message-ID"] for mail in there.box.mails if "cut" not in mail["To"]]
    assert kept == [f"<{1:032x}@shop.example>", f"<{3:032x}@shop.example>"]
    # A refused recipient costs a RSET, not a connection.
    refused = kind is PermanentError or who in ("busy", "full", "later", "login")
    assert (len(set(map(id, there.box.sessions))) == 1) is refused
    assert there.box.dropped in (0, 2)


def test_silence_before_the_message_is_not_silence_after_it(server) -> None:
    there = server()
    with smtp(there.port, timeout_seconds=0.4) as channel:
        with pytest.raises(ChannelDown, match="in time"):
            channel.send(message(1, "slow@example.com"))
        with pytest.raises(UnknownOutcome):
            channel.send(message(2, "silent@example.com"))
        channel.send(message(3))
    assert [mail["To"] for mail in there.box.mails] == ["silent@example.com", "wang@example.com"]


def test_a_connection_serves_many_and_is_made_anew_when_the_server_had_enough(server) -> None:
    there = server()
    there.box.per_connection = 4
    with smtp(there.port) as channel:
        for number in range(10):
            channel.send(message(number))
    assert len({mail["Message-ID"] for mail in there.box.mails}) == 10
    assert len(there.box.mails) == 10
    assert len(set(map(id, there.box.sessions))) == 3
    with smtp(there.port, messages_per_connection=2) as channel:
        for number in range(10, 14):
            channel.send(message(number))
    assert len(there.box.mails) == 14
    there.box.per_connection = 0
    with smtp(there.port) as channel, pytest.raises(ChannelDown, match="enough"):
        channel.send(message(20))


def test_nobody_there_and_a_sender_that_is_refused_rest_the_channel(server) -> None:
    with smtp(free_port()) as channel, pytest.raises(ChannelDown, match="refused"):
        channel.send(message())
    there = server()
    with smtp(there.port) as channel:
        strange = channel.options.model_copy(update={"from_address": "stranger@shop.example"})
        channel.options = strange
        with pytest.raises(ChannelDown, match="refuses the sender"):
            channel.send(message())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> SimpleNamespace:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return SimpleNamespace(file=str(folder / "cert.pem"), context=context)


def only_right(server, session, envelope, mechanism, data) -> AuthResult:
    return AuthResult(success=(data.login, data.password) == (b"care", b"right"), handled=False)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_logged_in_and_only_to_whom_is_trusted(server, certificate, security) -> None:
    tls = {"tls_context": certificate.context, "require_starttls": True}
    implicit = {"ssl_context": certificate.context, "auth_require_tls": False}
    there = server(
        **(tls if security == "starttls" else implicit),
        authenticator=only_right,
        auth_required=True,
    )
    told = {"host": "localhost", "security": security, "username": "care"}
    trusted = {**told, "ca_file": certificate.file}
    with smtp(there.port, "right", **trusted) as channel:
        assert "TLSv1" in channel.check()
        channel.send(message(1))
        channel.send(message(2))
    assert len(there.box.mails) == 2
    with smtp(there.port, "wrong", **trusted) as channel, pytest.raises(ChannelDown, match="535"):
        channel.send(message(3))
    with smtp(there.port, "right", **told) as channel, pytest.raises(ChannelDown, match="trusted"):
        channel.send(message(4))
    assert len(there.box.mails) == 2


# -- HTTP ----------------------------------------------------------------------------------------


class Receiver:
    """An HTTP server that answers what it was told to, one answer per request."""

    def __init__(self) -> None:
        self.requests: list[SimpleNamespace] = []
        self.answers: list[tuple[int, dict[str, str], Any, float]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                self._answer(body)

            def do_GET(self) -> None:
                self._answer(b"")

            def do_HEAD(self) -> None:
                self.send_response(405)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def _answer(self, body: bytes) -> None:
                receiver.requests.append(
                    SimpleNamespace(
                        path=self.path, headers=self.headers, body=body, port=self.client_address[1]
                    )
                )
                told = receiver.answers.pop(0) if receiver.answers else (200, {}, {}, 0)
                status, headers, answer, wait = told
                time.sleep(wait)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: Any) -> None:
                pass

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def will(self, status: int, headers: dict | None = None, answer: Any = None, wait: float = 0):
        self.answers.append((status, headers or {}, {} if answer is None else answer, wait))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


def webhook(url: str, secret: str | None = None, token: str | None = None, **options: Any):
    made = WebhookOptions(type="webhook", timeout_seconds=2.0, **options)
    return WebhookChannel("sms", made, url, secret, token, lambda: NOW)


def test_a_post_is_signed_keyed_and_complete(receiver) -> None:
    receiver.will(201, answer={"data": {"items": [{"id": 77}]}})
    with webhook(receiver.url + "/in", "s3", "t0k", provider_id_path="data.items.0.id") as channel:
        assert channel.send(message()).provider_id == "77"
        channel.send(message(2))
        assert "405" in channel.check()
    first, second = receiver.requests
    stamp = first.headers["X-Careloop-Timestamp"]
    assert stamp == str(int(NOW.timestamp()))
    assert first.headers["X-Careloop-Signature"] == signature("s3", stamp, first.body)
    assert signature("s3", stamp, first.body + b" ") != first.headers["X-Careloop-Signature"]
    assert first.headers["Authorization"] == "Bearer t0k"
    assert first.headers["Idempotency-Key"] == f"{1:032x}"
    assert first.path == "/in"
    body = json.loads(first.body)
    assert body["text"].startswith("王小明")
    assert body["about"] == {"order_id": "O1"}
    assert set(body) == {
        "message_id",
        "customer_id",
        "rule",
        "purpose",
        "channel",
        "locale",
        "address",
        "subject",
        "text",
        "html",
        "unsubscribe_url",
        "about",
    }
    assert first.port == second.port, "one connection for many messages"
    assert channel.accepts_idempotency_key


def test_the_gateway_shape_with_other_names_and_codes_in_the_answer(receiver) -> None:
    options = {
        "shape": "sms_gateway",
        "rename": {"address": "mobile", "text": "content"},
        "constants": {"sign": "示例商城"},
        "code_path": "code",
        "ok_codes": ["0", "OK"],
        "bad_address_codes": ["1003"],
        "temporary_codes": ["1008"],
    }
    answers = [
        {"code": 0},
        {"code": "1003"},
        {"code": 1008},
        {"code": 9, "msg": "13800000000"},
        {"x": 1},
        b"<html>",
    ]
    for answer in answers:
        receiver.will(200, answer=answer)
    with webhook(receiver.url, **options) as channel:
        channel.send(message(1, "13800000000"))
        with pytest.raises(PermanentError) as bad:
            channel.send(message(2, "13800000000"))
        with pytest.raises(TemporaryError):
            channel.send(message(3, "13800000000"))
        with pytest.raises(PermanentError) as refused:
            channel.send(message(4, "13800000000"))
        for number in (5, 6):
            with pytest.raises(UnknownOutcome):
                channel.send(message(number, "13800000000"))
    assert (bad.value.bad_address, refused.value.bad_address) == (True, False)
    assert "138" not in refused.value.reason
    assert json.loads(receiver.requests[0].body) == {
        "sign": "示例商城",
        "message_id": f"{1:032x}",
        "mobile": "13800000000",
        "content": message().text,
        "purpose": "service",
        "locale": "zh-CN",
    }
    assert not channel.accepts_idempotency_key


LATER = NOW + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait", "idempotent"),
    [
        (429, {"Retry-After": "7"}, ChannelDown, 7, True),
        (429, {"Retry-After": format_datetime(LATER, usegmt=True)}, ChannelDown, 120, True),
        (429, {}, ChannelDown, None, True),
        (503, {"Retry-After": "30"}, ChannelDown, 30, True),
        (503, {}, TemporaryError, None, True),
        (500, {"Retry-After": "soon"}, TemporaryError, None, False),
        (504, {}, TemporaryError, None, True),
        (504, {}, UnknownOutcome, None, False),
        (409, {}, TemporaryError, None, True),
        (400, {}, PermanentError, None, True),
        (422, {}, PermanentError, None, True),
        (401, {}, ChannelDown, None, True),
        (404, {}, ChannelDown, None, True),
        (302, {"Location": "http://127.0.0.1:1/"}, ChannelDown, None, True),
    ],
)
def test_what_a_status_means(receiver, status, headers, kind, wait, idempotent) -> None:
    receiver.will(status, headers)
    with webhook(receiver.url, idempotent=idempotent) as channel:
        with pytest.raises(kind) as caught:
            channel.send(message())
        channel.send(message())
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after", None) == wait
    assert len({request.headers["Idempotency-Key"] for request in receiver.requests}) == 1


def test_gone_is_a_bad_address_and_silence_is_unknown(receiver) -> None:
    receiver.will(410)
    receiver.will(200, wait=0.8)
    with webhook(receiver.url) as channel, pytest.raises(PermanentError) as gone:
        channel.send(message())
    assert gone.value.bad_address
    options = WebhookOptions(type="webhook", timeout_seconds=0.3)
    with (
        WebhookChannel("sms", options, receiver.url, None, None, lambda: NOW) as channel,
        pytest.raises(UnknownOutcome),
    ):
        channel.send(message())
    assert len(receiver.requests) == 2, "it had been taken over"
    with webhook(f"http://127.0.0.1:{free_port()}") as channel:
        with pytest.raises(ChannelDown):
            channel.send(message())
        with pytest.raises(ChannelDown):
            channel.check()


def test_wecom_gets_a_token_renews_it_and_reads_its_codes(receiver, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [
        {"errcode": 0, "access_token": "T1"},
        {"errcode": 0, "msgid": "M1"},
        {"errcode": 42001, "errmsg": "expired"},
        {"errcode": 0, "access_token": "T2"},
        {"errcode": 0, "msgid": "M2"},
        {"errcode": 0, "invaliduser": "w1"},
        {"errcode": 45009},
        {"errcode": -1},
        {"errcode": 44004},
    ]
    for answer in answers:
        receiver.will(200, answer=answer)
    made = {"shape": "wecom", "corp_id": "ww1", "agent_id": 1000002}
    with webhook(receiver.url, "app-secret", **made) as channel:
        assert channel.send(message(1, "w1")).provider_id == "M1"
        assert channel.send(message(2, "w1")).provider_id == "M2"
        for kind in (PermanentError, ChannelDown, TemporaryError, PermanentError):
            with pytest.raises(kind) as caught:
                channel.send(message(3, "w1"))
            assert type(caught.value) is kind
    paths = [request.path for request in receiver.requests]
    assert paths[0] == "/cgi-bin/gettoken?corpid=ww1&corpsecret=app-secret"
    assert [p.split("=")[-1] for p in paths[1:5]] == ["T1", "T1", "app-secret", "T2"]
    body = json.loads(receiver.requests[1].body)
    assert (body["touser"], body["msgtype"], body["agentid"]) == ("w1", "text", 1000002)
    assert body["text"] == {"content": message().text}
    assert "X-Careloop-Signature" not in receiver.requests[1].headers
    told = " ".join(r.getMessage() for r in caplog.records if r.levelno >= logging.INFO)
    assert "app-secret" not in told
    assert "T1" not in told


# -- Apprise -------------------------------------------------------------------------------------


def configured(monkeypatch, home: Path, channels: dict, **secrets: str) -> Settings:
    for name, value in secrets.items():
        monkeypatch.setenv(f"CARELOOP_CHANNEL_{name.upper()}", value)
    return Settings(home=home, program="retail_care", channels=channels)


def test_robots_and_alerts_over_apprise(receiver, monkeypatch, tmp_path, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    address = receiver.url.replace("http", "json") + "?rto=0.4"
    table = {"community": {"type": "apprise"}, "alerts": {"type": "apprise"}}
    settings = configured(
        monkeypatch, tmp_path, table, community_url=address, alerts_url=f"{address} {address}"
    )
    channel = open_channels(settings, ["community"], lambda: NOW)["community"]
    with channel:
        channel.send(message())
        for status, kind in [
            (500, TemporaryError),
            (400, PermanentError),
            (403, ChannelDown),
            (429, ChannelDown),
            (502, UnknownOutcome),
        ]:
            receiver.will(status)
            with pytest.raises(kind) as caught:
                channel.send(message())
            assert type(caught.value) is kind
        receiver.will(200, wait=0.8)
        with pytest.raises(UnknownOutcome):
            channel.send(message())
        assert "JSON" in channel.check()
    body = json.loads(receiver.requests[0].body)
    assert body["title"] == SUBJECT
    assert "您的订单已发货" in body["message"]
    assert not channel.accepts_idempotency_key
    before = len(receiver.requests)
    assert notify(settings, "Dispatch stopped", "e-mail is down")
    assert len(receiver.requests) == before + 2
    receiver.will(500)
    assert not notify(settings, "Dispatch stopped", "e-mail is down")
    assert not notify(Settings(home=tmp_path), "nobody", "listens")
    monkeypatch.setenv("CARELOOP_CHANNEL_COMMUNITY_URL", f"json://127.0.0.1:{free_port()}")
    with (
        open_channels(settings, ["community"], lambda: NOW)["community"] as down,
        pytest.raises(ChannelDown),
    ):
        down.send(message())
    assert "王小明" not in caplog.text, "Apprise's log has texts and addresses in it"
    for wrong, told in [("nonsense://", "isn't one"), (f"{address} {address}", "2 addresses")]:
        monkeypatch.setenv("CARELOOP_CHANNEL_COMMUNITY_URL", wrong)
        with pytest.raises(SettingsError, match=told) as refused:
            open_channels(settings, ["community"], lambda: NOW)
        assert wrong not in str(refused.value)


# -- dry run -------------------------------------------------------------------------------------


def test_a_dry_run_writes_each_message_once_whoever_writes_and_however_it_ended(tmp_path) -> None:
    moment = [datetime(2026, 11, 2, 15, 59, tzinfo=UTC)]

    def opened() -> FileChannel:
        return FileChannel(
            "email", tmp_path / "outbox" / "email", "Asia/Shanghai", lambda: moment[0]
        )

    first, second = opened(), opened()
    with first, second:
        first.send(message(1))
        assert "before" in second.send(message(1)).detail
        second.send(message(2))
        assert "before" in first.send(message(2)).detail
    today = tmp_path / "outbox" / "email" / "2026-11-02.jsonl"
    with today.open("ab") as file:
        file.write(b'{"message_id": "00000000000000000000000000000003", "decis')
    with opened() as again:
        assert "written" in again.send(message(3)).detail
        moment[0] += timedelta(minutes=1)
        assert "before" in again.send(message(3)).detail
        again.send(message(4))
    lines = [json.loads(line) for line in today.read_text("utf-8").splitlines()]
    assert [line["message_id"] for line in lines] == [f"{n:032x}" for n in (1, 2, 3)]
    assert lines[0]["subject"] == SUBJECT
    tomorrow = today.with_name("2026-11-03.jsonl")
    assert json.loads(tomorrow.read_text("utf-8"))["message_id"] == f"{4:032x}"
    assert stat.S_IMODE(today.stat().st_mode) == 0o600
    assert stat.S_IMODE(today.parent.stat().st_mode) == 0o700


def test_many_threads_lose_and_tear_nothing(tmp_path) -> None:
    def work() -> None:
        with FileChannel("sms", tmp_path / "sms", "UTC", lambda: NOW) as channel:
            for number in range(200):
                channel.send(message(number, "13800000000"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "sms" / "2026-11-02.jsonl").read_text("utf-8").splitlines()
    assert sorted(json.loads(line)["message_id"] for line in lines) == [
        f"{n:032x}" for n in range(200)
    ]


def test_a_disk_that_refuses_rests_the_channel(tmp_path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with FileChannel("sms", tmp_path / "outbox" / "sms", "UTC", lambda: NOW) as channel:
        with pytest.raises(ChannelDown):
            channel.send(message())
        with pytest.raises(ChannelDown):
            channel.check()


# -- settings ------------------------------------------------------------------------------------

SMTP = {
    "type": "smtp",
    "host": "localhost",
    "security": "none",
    "from_address": "care@shop.example",
}


@pytest.mark.parametrize(
    ("name", "table", "told"),
    [
        ("mail", SMTP, "there is no channel mail"),
        ("email", {"type": "post"}, "channels.email.type is post\n  → allowed: smtp, webhook"),
        ("email", {}, "channels.email.type is missing"),
        ("email", {**SMTP, "passwort": "x"}, "channels.email.passwort is unknown; allowed: "),
        ("email", {**SMTP, "password": "x"}, "CARELOOP_CHANNEL_EMAIL_PASSWORD"),
        ("sms", {"type": "webhook", "url": "https://x"}, "CARELOOP_CHANNEL_SMS_URL"),
        ("sms", {"type": "webhook", "secret": "x"}, "CARELOOP_CHANNEL_SMS_SECRET"),
        (
            "email",
            {**SMTP, "security": "ssl"},
            "channels.email.security: .*'starttls', 'tls' or 'none'",
        ),
        ("email", {**SMTP, "host": "mail.example.com"}, "in the clear"),
        ("email", {**SMTP, "port": "25"}, "channels.email.port"),
        ("email", {**SMTP, "rate": "often"}, "channels.email.rate"),
        (
            "email",
            {"type": "smtp"},
            "channels.email.host is missing; channels.email.from_address is",
        ),
        ("email", {**SMTP, "from_name": "a\r\nBcc: b"}, "channels.email.from_name"),
        ("email", {**SMTP, "from_address": "a@b.cn>\r\n"}, "channels.email.from_address"),
        ("wecom", {"type": "webhook", "shape": "wecom"}, "needs corp_id and agent_id"),
        (
            "sms",
            {"type": "webhook", "shape": "soap"},
            "'generic', 'sms_gateway', 'wecom', 'wecom_robot'",
        ),
        ("sms", {"type": "webhook", "ok_codes": ["0"]}, "belong together"),
        ("alerts", {"type": "file"}, "allowed for alerts: apprise"),
    ],
)
def test_a_wrong_channel_is_refused_with_path_and_what_is_allowed(
    name, table, told, tmp_path
) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        setups(Settings(home=tmp_path, channels={name: table}))
    assert "'x'" not in str(caught.value)


def test_a_dry_run_until_it_is_configured_and_people_for_what_is_spoken(tmp_path) -> None:
    settings = Settings(home=tmp_path, program="retail_care", channels={"email": dict(SMTP)})
    kinds = {setup.name: setup.type for setup in setups(settings)}
    assert set(kinds) == set(NAMES)
    assert (kinds["email"], kinds["sms"], kinds["call"], kinds["visit"], kinds["task"]) == (
        "smtp",
        "file",
        "task",
        "task",
        "task",
    )
    channels = open_channels(settings, ["email", "sms", "task", "call"], lambda: NOW)
    with channels["sms"] as sms, channels["task"] as task:
        assert sms.send(message()).detail == "written to sms/2026-11-02.jsonl"
        assert "win_back_team" in task.send(message(owner_role="win_back_team")).detail
    assert options_of(settings, "email").tries == 5


def test_secrets_come_from_the_environment_and_are_asked_for(monkeypatch, tmp_path) -> None:
    table = {"email": {**SMTP, "username": "care"}, "sms": {"type": "webhook"}}
    settings = configured(monkeypatch, tmp_path, table)
    missing = {setup.name: setup.missing for setup in setups(settings)}
    assert missing["email"] == ("CARELOOP_CHANNEL_EMAIL_PASSWORD",)
    for name in ("email", "sms"):
        with pytest.raises(SettingsError, match="CARELOOP_CHANNEL"):
            open_channels(settings, [name], lambda: NOW)
    monkeypatch.setenv("CARELOOP_CHANNEL_SMS_URL", "http://sms.example.com/send?key=hush")
    with pytest.raises(SettingsError, match="https") as caught:
        open_channels(settings, ["sms"], lambda: NOW)
    assert "hush" not in str(caught.value)


def test_reasons_hold_no_personal_data() -> None:
    said = "550 <Wang@Example.com> wang unknown, call +86 138-0000-0000\r\nor\x00 w1"
    assert scrubbed(said, "wang@example.com", "wang", "w1") == "550 <…> … unknown, call … or …"
    assert len(scrubbed("x" * 500)) == 200


# -- commands ------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["channels", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        return getattr(result.exception, "exit_code", 99), str(result.exception)
    return result.exit_code, result.output


def test_list_check_and_test(server, monkeypatch, tmp_path) -> None:
    there = server()
    (tmp_path / "careloop.toml").write_text(
        f'program = "retail_care"\nhome = "data"\n[channels.email]\ntype = "smtp"\nhost = "127.0.0.1"\nport = {there.port}\n'
        'security = "none"\nfrom_address = "care@shop.example"\nrate = "10/s"\n'
        '[channels.sms]\ntype = "webhook"\nshape = "sms_gateway"\n'
    )
    monkeypatch.chdir(tmp_path)
    code, listed = run("list", "--json")
    assert code == 0
    found = {row["name"]: row for row in json.loads(listed)}
    assert found["email"]["rate"] == "10/s"
    assert found["sms"]["missing"] == ["CARELOOP_CHANNEL_SMS_URL"]
    assert run("list")[0] == 0
    code, checked = run("check", "email")
    assert code == 0
    assert "connected to 127.0.0.1" in " ".join(checked.split())
    code, checked = run("check")
    assert code == 1
    assert "CARELOOP_CHANNEL_SMS_URL" in checked
    assert run("test", "email", "--to", "wang@example.com", "--locale", "zh-CN")[0] == 0
    assert there.box.mails[0]["Subject"] == "careloop 测试"
    code, told = run("test", "email", "--to", "nobody@example.com")
    assert code == 1
    assert "PermanentError: 550 5.1.1" in told
    assert run("test", "email")[0] == 2
    assert run("check", "post")[0] == 2
    assert run("test", "push", "--to", "token")[0] == 0
    assert list((tmp_path / "data" / "outbox" / "push").glob("*.jsonl"))
    assert os.environ.get("CARELOOP_CHANNEL_SMS_URL") is None
