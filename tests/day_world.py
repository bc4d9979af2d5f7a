"""What stands around careloop on a day: providers that misbehave, a clock, and what was seen."""

import email
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

from aiosmtpd.controller import Controller

ZONE = ZoneInfo("Asia/Shanghai")
# The gateway's silence is longer than the channels wait.
PATIENCE, SILENCE = 0.5, 1.0


def at(time_of_day: str, day: int = 1) -> datetime:
    """A time of November 2026 in the program's zone."""
    return datetime.fromisoformat(f"2026-11-{day:02d}T{time_of_day}").replace(tzinfo=ZONE)


class Clock:
    """The day's time, set by whoever plays the day."""

    def __init__(self) -> None:
        self.moment = at("00:00")

    def __call__(self) -> datetime:
        return self.moment.astimezone(UTC)


@dataclass(frozen=True)
class Arrival:
    """A message that a provider took over."""

    channel: str
    message_id: str
    address: str
    at: datetime


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class PostOffice:
    """A mail server that can be closed; it does not know the first recipient it is asked about."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.port = free_port()
        self.arrivals: list[Arrival] = []
        self.mails: dict[str, Any] = {}
        self.unknown: str | None = None
        self.refusals = 0
        self._server: Controller | None = None

    def open(self) -> None:
        self._server = Controller(self, hostname="127.0.0.1", port=self.port)
        self._server.start()

    def close(self) -> None:
        if self._server:
            self._server.stop()
            self._server = None

    async def handle_RCPT(self, _server, _session, envelope, address, _):
        if self.unknown in (None, address):
            self.unknown = address
            self.refusals += 1
            return f"550 5.1.1 <{address}>: no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=policy.default)
        key = mail["X-Careloop-Message"]
        self.mails[key] = mail
        self.arrivals.append(Arrival("email", key, envelope.rcpt_tos[0], self.clock()))
        return "250 2.0.0 Ok: queued as 4ABC123"


class Gateway:
    """Text messages, WeCom and push by HTTP. From nine on it falls silent after taking its third
    text message and its second WeCom message, and throttles WeCom at the fifth; of WeCom and push
    it knows what it has had before."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.arrivals: list[Arrival] = []
        self.requests: list[tuple[str, str, datetime]] = []
        self.silent: dict[str, str] = {}
        self.throttled: str | None = None
        self._count: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, channel: str, key: str, body: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer; sleeps where it is silent."""
        with self._lock:
            now = self.clock()
            self.requests.append((channel, key, now))
            if now >= at("09:00"):
                self._count[channel] += 1
            number = self._count[channel]
            if channel == "wecom" and number == 5 and self.throttled is None:
                self.throttled = key
                return 429, {"Retry-After": "1800"}
            known = {a.message_id for a in self.arrivals if channel != "sms"}
            if key not in known:
                address = str(body.get("to") or body.get("address"))
                self.arrivals.append(Arrival(channel, key, address, now))
            silent = (channel, number) in (("sms", 3), ("wecom", 2))
            if silent:
                self.silent[channel] = key
        if silent:
            time.sleep(SILENCE)
        return 200, {}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        take: Callable[..., tuple[int, dict[str, str]]] = self.take

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Idempotency-Key"]
                status, headers = take(self.path.strip("/"), key, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "2"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"{}")

            def handle(self) -> None:
                with suppress(OSError):
                    super().handle()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
