"""Who may bring receipts: an HMAC over time and body, checked in constant time."""

import hashlib
import hmac
import os
from collections.abc import Sequence

from careloop.errors import SettingsError

SECRET = "CARELOOP_RECEIPT_SECRET"
WINDOW_SECONDS = 300
SHORTEST = 16
VERSION = "v1="


def receipt_secrets() -> list[str]:
    """The secrets of CARELOOP_RECEIPT_SECRET, separated by commas, all of which are accepted, so
    that one can be replaced. Raises SettingsError without one or with one that is too short."""
    found = [part.strip() for part in os.environ.get(SECRET, "").split(",") if part.strip()]
    if not found or min(map(len, found)) < SHORTEST:
        raise SettingsError(
            f"{SECRET} is missing or has fewer than {SHORTEST} characters",
            "set it to a long random text, e.g. from `openssl rand -hex 32`, here and at whoever "
            "sends receipts",
        )
    return found


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``v1=`` and the hex HMAC-SHA256 of ``timestamp``, a dot and the body."""
    signed = timestamp.encode() + b"." + body
    return VERSION + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def refusal(
    secrets: Sequence[str], timestamp: str | None, given: str | None, body: bytes, now: float
) -> str | None:
    """Why a request is not accepted; None if it is. ``now``: seconds since 1970."""
    if not timestamp or not given:
        return "not signed: X-Careloop-Timestamp and X-Careloop-Signature are needed"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return "X-Careloop-Timestamp must be whole seconds since 1970"
    # Bytes, because texts that are not ASCII can't be compared in constant time.
    shown = given.encode("utf-8", "replace")
    genuine = [
        hmac.compare_digest(shown, signature(secret, timestamp, body).encode())
        for secret in secrets
    ]
    if not any(genuine):
        return "the signature is wrong"
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        return f"the request is more than {WINDOW_SECONDS} s old, or from the future"
    return None
