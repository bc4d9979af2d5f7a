"""HTTP POST of JSON to a gateway: idempotency key, signature, and what each answer means."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

import httpx

from careloop.channels.base import (
    ChannelDown,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.channels.options import WebhookOptions
from careloop.channels.robots import signed_fields, signed_url
from careloop.channels.shapes import TokenExpired, accepted, at_path, body

# It logs addresses with the tokens in them.
logging.getLogger("httpx").setLevel(logging.WARNING)

WECOM_SEND, WECOM_TOKEN = "/cgi-bin/message/send", "/cgi-bin/gettoken"
# Wrong address, wrong credentials, moved: true of every message, so the channel is at fault.
_SETUP = {401, 402, 403, 404, 405, 407}


def signature(secret: str, timestamp: str, content: bytes) -> str:
    """``sha256=`` and the hex HMAC-SHA256 of ``timestamp.content``."""
    signed = hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256)
    return f"sha256={signed.hexdigest()}"


class WebhookChannel:
    """Posts messages over one client; not to be shared by threads.

    secret: signs every body (of WeCom: the application's secret). token: bearer token.
    """

    def __init__(
        self,
        name: str,
        options: WebhookOptions,
        url: str,
        secret: str | None,
        token: str | None,
        now: Callable[[], datetime],
    ) -> None:
        self.name = name
        self.options = options
        keyed = options.idempotent
        self.accepts_idempotency_key = options.shape == "generic" if keyed is None else keyed
        self._url = url.rstrip("/") if options.shape == "wecom" else url
        self._secret = secret
        self._token = token
        self._now = now
        self._client: httpx.Client | None = None
        self._access: str | None = None

    def __enter__(self) -> Self:
        """Nothing yet: the connection is made for the first message."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def send(self, message: Rendered) -> Receipt:
        """Hand over one message; raises a DeliveryError."""
        fields = body(message, self.options)
        if self._secret and self.options.shape == "feishu_robot":
            fields |= signed_fields(self._secret, self._seconds())
        content = json.dumps(
            fields, ensure_ascii=False, separators=(",", ":"), default=str
        ).encode()
        try:
            return self._hand_over(message, content)
        except TokenExpired:
            self._access = None
        try:
            return self._hand_over(message, content)
        except TokenExpired as expired:
            self._access = None
            raise ChannelDown(f"WeCom refuses a new access token ({expired.code})") from expired

    def check(self) -> str:
        """Whether anybody answers; raises ChannelDown. Nothing is posted."""
        if self.options.shape == "wecom":
            self._wecom_token()
            return "WeCom gave an access token"
        try:
            status = self._http().head(self._url).status_code
        except httpx.HTTPError as error:
            raise ChannelDown(f"no answer: {type(error).__name__}") from error
        return f"somebody answers (HTTP {status} to HEAD)"

    def _hand_over(self, message: Rendered, content: bytes) -> Receipt:
        answer = self._post(self._target(), content, message.message_id)
        self._judge(answer)
        return accepted(_json(answer), message, self.options)

    def _seconds(self) -> int:
        return int(self._now().timestamp())

    def _target(self) -> str:
        if self._secret and self.options.shape == "dingtalk_robot":
            return signed_url(self._url, self._secret, self._seconds())
        if self.options.shape != "wecom":
            return self._url
        self._access = self._access or self._wecom_token()
        return f"{self._url}{WECOM_SEND}?access_token={self._access}"

    def _post(self, url: str, content: bytes, message_id: str) -> httpx.Response:
        try:
            return self._http().post(
                url, content=content, headers=self._headers(content, message_id)
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise ChannelDown(f"no connection: {type(error).__name__}") from error
        except (httpx.ProxyError, httpx.PoolTimeout) as error:
            raise ChannelDown(f"no connection: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise UnknownOutcome(
                f"no answer after the message was handed over: {type(error).__name__}"
            ) from error

    def _headers(self, content: bytes, message_id: str) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Idempotency-Key": message_id}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if self._secret and self.options.shape in ("generic", "sms_gateway"):
            stamp = str(self._seconds())
            headers["X-Careloop-Timestamp"] = stamp
            headers["X-Careloop-Signature"] = signature(self._secret, stamp, content)
        return headers

    def _judge(self, answer: httpx.Response) -> None:
        """Return for 2xx, raise what any other status means."""
        status, reason = answer.status_code, f"HTTP {answer.status_code}"
        if 200 <= status < 300:
            return
        wait = self._retry_after(answer)
        if status == 429 or (status == 503 and wait is not None):
            raise ChannelDown(f"{reason}: too many requests or resting", wait)
        if status in _SETUP or 300 <= status < 400:
            raise ChannelDown(f"{reason}: look at the channel's address and secrets")
        if status in (502, 504) and not self.accepts_idempotency_key:
            raise UnknownOutcome(f"{reason}: whoever stands behind it may have taken the message")
        if status >= 500 or status in (408, 409, 423, 425):
            raise TemporaryError(reason, wait)
        raise PermanentError(reason, bad_address=status == 410)

    def _retry_after(self, answer: httpx.Response) -> float | None:
        """Seconds from now of Retry-After, which has seconds or a date (RFC 9110 10.2.3)."""
        text = answer.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        with suppress(ValueError, TypeError):
            moment = parsedate_to_datetime(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - self._now()).total_seconds())
        return None

    def _wecom_token(self) -> str:
        """An access token, which WeCom gives for two hours; raises ChannelDown."""
        keys = {"corpid": self.options.corp_id or "", "corpsecret": self._secret or ""}
        try:
            answer = self._http().get(f"{self._url}{WECOM_TOKEN}", params=keys)
        except httpx.HTTPError as error:
            raise ChannelDown(f"no access token: {type(error).__name__}") from error
        found = _json(answer)
        token = at_path(found, "access_token")
        if not token:
            code = at_path(found, "errcode")
            raise ChannelDown(f"no access token: HTTP {answer.status_code}, errcode {code}")
        return str(token)

    def _http(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(timeout=self.options.timeout_seconds)
        return self._client


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
