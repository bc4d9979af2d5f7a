"""E-mail over SMTP: one connection for many messages, and what each refusal means.

Sources: RFC 5321 (dialogue, 421, 552 of a recipient as a temporary refusal: 4.5.3.1.10), RFC 3463
(what 5.1.x and 5.2.1 say), RFC 8058 (one-click unsubscribing).
"""

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from careloop.channels.base import (
    ChannelDown,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.channels.mail import compose, mail_address
from careloop.channels.options import SmtpOptions
from careloop.channels.private import scrubbed

PORTS = {"starttls": 587, "tls": 465, "none": 25}
_DETAIL = re.compile(r"^\s*(\d\.\d{1,3}\.\d{1,3})\b")
_NO_SUCH_ADDRESS = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
_SENDER = {"5.1.7", "5.1.8"}
# The server wants something of us, not of this recipient: log in, encrypt, other commands.
_OURS = {500, 502, 503, 530, 534, 535, 538}


class _Gone(Exception):
    """The connection ended, or the server ended it (421), before the message was handed over."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SmtpChannel:
    """Sends e-mails; not to be shared by threads. now: gives the Date of a message, in UTC."""

    accepts_idempotency_key = False

    def __init__(
        self,
        name: str,
        options: SmtpOptions,
        password: str | None,
        now: Callable[[], datetime],
    ) -> None:
        self.name = name
        self.options = options
        self._password = password
        self._now = now
        self._server: smtplib.SMTP | None = None
        self._used = 0

    def __enter__(self) -> Self:
        """Nothing yet: the connection is made for the first message."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(politely=True)

    def send(self, message: Rendered) -> Receipt:
        """Hand over one mail; raises a DeliveryError."""
        recipient = mail_address(message)
        data = compose(message, self.options, self._now())
        bounce = self.options.bounce_address or self.options.from_address
        sender = bounce.replace("{message_id}", message.message_id)
        try:
            return self._hand_over(sender, recipient, data)
        except _Gone:
            # A server may end a connection whenever it likes: once more on a new one.
            self._close()
        try:
            return self._hand_over(sender, recipient, data)
        except _Gone as gone:
            raise TemporaryError(gone.reason) from gone

    def check(self) -> str:
        """What the server says of itself after logging in; raises ChannelDown."""
        server = self._connected()
        try:
            code, reply = server.noop()
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise ChannelDown(f"the server left: {type(error).__name__}") from error
        if code != 250:
            raise ChannelDown(f"the server answered NOOP with {_said(code, reply)}")
        login = f", logged in as {self.options.username}" if self.options.username else ""
        cipher = (
            server.sock.version() if isinstance(server.sock, ssl.SSLSocket) else "no encryption"
        )
        return f"connected to {self.options.host}:{self._port} ({cipher}){login}"

    # -- the dialogue -------------------------------------------------------------------------

    def _hand_over(self, sender: str, recipient: str, data: bytes) -> Receipt:
        server = self._connected()
        self._used += 1
        size = [f"size={len(data)}"] if server.has_extn("size") else []
        mail = f"mail FROM:<{sender}> {' '.join(size)}".rstrip()
        replies = self._replies(server, [mail, f"rcpt TO:<{recipient}>", "data"])
        code, reply = next(replies)
        if code >= 300:
            self._end(server, replies)
            self._refuse_sender(code, reply)
        code, reply = next(replies)
        if code >= 300:
            self._end(server, replies)
            self._refuse_recipient(code, reply, recipient)
        code, reply = next(replies)
        if code != 354:
            self._reset()
            raise _refusal(code, reply, recipient)
        return self._deliver(server, data, recipient)

    def _replies(self, server: smtplib.SMTP, lines: list[str]) -> Iterator[tuple[int, bytes]]:
        """The answers to commands, which go out together if the server takes that (RFC 2920)."""
        if not server.has_extn("pipelining"):
            yield from (self._command(server, line) for line in lines)
            return
        yield self._command(server, *lines)
        for _ in lines[1:]:
            yield self._command(server)

    def _end(self, server: smtplib.SMTP, replies: Iterator[tuple[int, bytes]]) -> None:
        """Read what a server still answers that was given all commands at once. It may even ask
        for the data of a message without recipients: it gets none."""
        if server.has_extn("pipelining") and [code for code, _ in replies][-1] == 354:
            self._command(server, ".")

    def _deliver(self, server: smtplib.SMTP, data: bytes, recipient: str) -> Receipt:
        try:
            # Until the last line is out, no server has a message to deliver.
            server.send(_stuffed(data))
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise _Gone(f"the connection broke while sending: {type(error).__name__}") from error
        try:
            code, reply = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            raise UnknownOutcome(
                f"no answer after the message was handed over: {type(error).__name__}"
            ) from error
        if code == 250:
            return Receipt(_queue_id(reply), "accepted")
        if code == 421:
            self._close()
            raise ChannelDown(_said(code, reply, recipient))
        raise _refusal(code, reply, recipient)

    def _command(self, server: smtplib.SMTP, *lines: str) -> tuple[int, bytes]:
        """Sends the commands and waits for the first answer, without commands for the next; raises
        _Gone when the connection ended, ChannelDown on silence."""
        try:
            if any("\r" in line or "\n" in line for line in lines):
                raise ValueError("a command is one line")
            if lines:
                server.send("".join(f"{line}\r\n" for line in lines))
            code, reply = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._close()
            if _timed_out(error):
                raise ChannelDown("the server doesn't answer in time") from error
            # One that leaves at a new connection's first command isn't put off by a recipient.
            down = self._used == 1 and bool(lines) and lines[0].startswith("mail")
            kind = ChannelDown if down else _Gone
            raise kind(f"the server ended the connection: {type(error).__name__}") from error
        if code == 421:
            self._close()
            raise (ChannelDown if self._used == 1 else _Gone)(_said(code, reply))
        return code, reply

    def _refuse_sender(self, code: int, reply: bytes) -> None:
        """What is wrong with our sender is wrong for every message, save its size."""
        self._reset()
        if 400 <= code < 500:
            raise TemporaryError(_said(code, reply))
        if code == 552:
            raise PermanentError(_said(code, reply))
        raise ChannelDown(f"the server refuses the sender: {_said(code, reply)}")

    def _refuse_recipient(self, code: int, reply: bytes, recipient: str) -> None:
        self._reset()
        detail = _detail(reply)
        if (code in _OURS or detail in _SENDER) and detail not in _NO_SUCH_ADDRESS:
            raise ChannelDown(_said(code, reply, recipient))
        if code == 552:
            raise TemporaryError(_said(code, reply, recipient))
        bad = detail in _NO_SUCH_ADDRESS if detail else code in (501, 550, 551, 553)
        raise _refusal(code, reply, recipient, bad)

    # -- the connection -----------------------------------------------------------------------

    @property
    def _port(self) -> int:
        return self.options.port or PORTS[self.options.security]

    def _connected(self) -> smtplib.SMTP:
        if self._server and self._used >= self.options.messages_per_connection:
            self._close(politely=True)
        if self._server is None:
            self._server, self._used = self._connect(), 0
        return self._server

    def _connect(self) -> smtplib.SMTP:
        options, where = self.options, f"{self.options.host}:{self._port}"
        server = None
        try:
            if options.security == "tls":
                server = smtplib.SMTP_SSL(
                    options.host, self._port, timeout=options.timeout_seconds,
                    context=self._trusted(),
                )  # fmt: skip
            else:
                server = smtplib.SMTP(options.host, self._port, timeout=options.timeout_seconds)
            server.ehlo_or_helo_if_needed()
            if options.security == "starttls":
                server.starttls(context=self._trusted())
                server.ehlo()
            # The last packet of a message shall not wait for the acknowledgement of the one before.
            server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if options.username:
                server.login(options.username, self._password or "")
        except smtplib.SMTPResponseException as error:
            _hang_up(server)
            reply = error.smtp_error
            text = reply if isinstance(reply, bytes) else str(reply).encode()
            raise ChannelDown(f"{where} refuses: {_said(error.smtp_code, text)}") from error
        except (OSError, smtplib.SMTPException) as error:
            _hang_up(server)
            raise ChannelDown(f"{where}: {_why(error)}") from error
        return server

    def _trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.options.ca_file)

    def _reset(self) -> None:
        """Free the connection of a refused message, so that the next one can use it."""
        if self._server is None:
            return
        try:
            code, _ = self._server.docmd("rset")
        except (OSError, smtplib.SMTPException):
            code = 0
        if code != 250:
            self._close()

    def _close(self, *, politely: bool = False) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        if politely:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
        _hang_up(server)


def _hang_up(server: smtplib.SMTP | None) -> None:
    if server is not None:
        with suppress(OSError, smtplib.SMTPException):
            server.close()


def _stuffed(data: bytes) -> bytes:
    """RFC 5321 4.5.2: a dot before lines that begin with one, and a lone dot at the end."""
    if b"\r\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if data.endswith(b"\r\n") else b"\r\n.\r\n")


def _refusal(
    code: int, reply: bytes, recipient: str, bad_address: bool = False
) -> TemporaryError | PermanentError:
    reason = _said(code, reply, recipient)
    if 500 <= code < 600:
        return PermanentError(reason, bad_address or _detail(reply) in _NO_SUCH_ADDRESS)
    return TemporaryError(reason)


def _detail(reply: bytes) -> str | None:
    match = _DETAIL.match(reply.decode("utf-8", "replace"))
    return match[1] if match else None


def _said(code: int, reply: bytes, *secrets: str) -> str:
    local = [secret.split("@")[0] for secret in secrets]
    return scrubbed(f"{code} {reply.decode('utf-8', 'replace')}", *secrets, *local)


def _queue_id(reply: bytes) -> str | None:
    """What Postfix, Exim and others name the message by in their answer."""
    match = re.search(rb"(?:queued as|id=)\s*([A-Za-z0-9-]+)", reply)
    return match[1].decode("ascii") if match else None


def _timed_out(error: Exception) -> bool:
    """smtplib reports silence as a lost connection, with the time-out behind it."""
    return isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError)


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't trusted: {error.verify_message}"
    if _timed_out(error):
        return "no answer in time"
    return scrubbed(f"{type(error).__name__}: {error}")
