"""Links that only careloop can have made: a message's id and a signature (HMAC-SHA256)."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from careloop.errors import SettingsError
from careloop.program.model import Program
from careloop.settings import Settings

SECRET = "CARELOOP_LINK_SECRET"
_SIGNED_BYTES = 16
_SHORTEST = 16


def secrets(required: bool = True) -> list[str]:
    """The secrets of CARELOOP_LINK_SECRET, separated by commas: the first signs, all verify, so
    that one can be replaced while old links still work. Raises SettingsError without one."""
    found = [part.strip() for part in os.environ.get(SECRET, "").split(",") if part.strip()]
    if short := [part for part in found if len(part) < _SHORTEST]:
        raise SettingsError(
            f"a secret of {SECRET} has {len(short[0])} characters", f"use {_SHORTEST} or more"
        )
    if required and not found:
        raise SettingsError(
            "links can't be signed without a secret",
            f"set {SECRET} to a long random text, e.g. from `openssl rand -hex 32`",
        )
    return found


def sign(message_id: str, secret: str | None = None) -> str:
    """A token for a URL that names the message; short, without characters to be escaped."""
    key = secret or secrets()[0]
    return f"{_text(_packed(message_id))}.{_text(_signature(message_id, key))}"


def verify(token: str, secret: str | None = None) -> str | None:
    """The message's id if the token is genuine, else None."""
    body, dot, signature = token.partition(".")
    if not dot or len(token) > 200 or not token.isascii():
        return None
    try:
        message_id = _unpacked(_bytes(body))
        given = _bytes(signature)
    except (binascii.Error, ValueError, IndexError):
        return None
    for key in [secret] if secret else secrets():
        if hmac.compare_digest(given, _signature(message_id, key)):
            return message_id
    return None


def unsubscribe_url(settings: Settings, message: Mapping[str, Any]) -> str | None:
    """``<public_url>/u/<token>`` of a ledger message; None where there is no public_url or the
    message is a service one, which nobody unsubscribes from."""
    if not settings.public_url or message.get("purpose") == "service":
        return None
    return f"{settings.public_url.rstrip('/')}/u/{sign(str(message['message_id']))}"


def survey_url(settings: Settings, message: Mapping[str, Any]) -> str | None:
    """The company's questionnaire, with ``m=<token>`` where there is a secret to sign it, so that
    the answer can be led back to the message."""
    url = settings.survey_url
    if not url or not secrets(required=False):
        return url
    return f"{url}{'&' if '?' in url else '?'}m={sign(str(message['message_id']))}"


def gaps(settings: Settings, program: Program) -> list[str]:
    """What messages of the program lack for want of a setting, in sentences; for checks."""
    found = []
    if not settings.sender_name:
        found.append("sender_name is not set: messages are signed 客户服务中心 and Customer care")
    rules = [r for r in program.rules if r.purpose == "marketing" and "email" in r.channels]
    if rules and not settings.public_url:
        named = ", ".join(rule.id for rule in rules)
        found.append(f"public_url is not set: marketing e-mails have no way out ({named})")
    if settings.public_url and not secrets(required=False):
        found.append(f"{SECRET} is not set: unsubscribe links can't be signed, nothing is sent")
    return found


def _packed(message_id: str) -> bytes:
    """Hex ids take half the room; the first byte says which it is."""
    try:
        raw = bytes.fromhex(message_id)
    except ValueError:
        raw = b""
    return b"h" + raw if raw and raw.hex() == message_id else b"t" + message_id.encode()


def _unpacked(data: bytes) -> str:
    kind, raw = data[:1], data[1:]
    if kind not in (b"h", b"t") or not raw:
        raise ValueError("not a packed id")
    return raw.hex() if kind == b"h" else raw.decode()


def _signature(message_id: str, secret: str) -> bytes:
    body = f"careloop link|{message_id}".encode()
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()[:_SIGNED_BYTES]


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
