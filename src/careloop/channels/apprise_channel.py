"""Group robots and alerts through Apprise: WeCom, DingTalk, Feishu, e-mail and a hundred more."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import apprise

from careloop.channels.base import (
    ChannelDown,
    DeliveryError,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)

_LISTENING = threading.Lock()
_STATUS = re.compile(r"\berror[=:]\s?(\d{3})\b")
_NOT_CONNECTED = re.compile(
    r"NewConnectionError|ConnectTimeout|Connection refused|Failed to establish|"
    r"Failed to resolve|Name or service not known|CERTIFICATE_VERIFY_FAILED",
    re.IGNORECASE,
)
_SETUP = {401, 403, 404, 405, 407}


class AppriseChannel:
    """Sends to what one or more Apprise addresses name; messages go to at most one of them."""

    accepts_idempotency_key = False

    def __init__(self, name: str, urls: list[str]) -> None:
        """Raises ValueError for an address Apprise doesn't understand, without repeating it."""
        self.name = name
        self._apprise = apprise.Apprise()
        with _listening():
            for number, url in enumerate(urls, 1):
                if not self._apprise.add(url):
                    raise ValueError(f"address {number} of {len(urls)} isn't one Apprise knows")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def send(self, message: Rendered) -> Receipt:
        """Hand over one message; raises a DeliveryError."""
        self.tell(message.subject or "", message.text)
        return Receipt(None, "accepted")

    def tell(self, title: str, text: str) -> None:
        """Send a text without more; raises a DeliveryError."""
        with _listening() as lines:
            done = self._apprise.notify(
                body=text, title=title, body_format=apprise.NotifyFormat.TEXT
            )
        if not done:
            raise _meaning("\n".join(lines))

    def check(self) -> str:
        """What the addresses are; whether anybody answers shows only in a message."""
        names = ", ".join(str(service.service_name) for service in self._apprise)
        return f"understood: {names}; send a test to see whether it answers"


def _meaning(log: str) -> DeliveryError:
    """Apprise only says no; why stands in its log. What isn't known may have gone out."""
    statuses = [int(status) for status in _STATUS.findall(log)]
    status = statuses[-1] if statuses else None
    if status is None:
        if _NOT_CONNECTED.search(log):
            return ChannelDown("no connection")
        return UnknownOutcome("Apprise doesn't know whether it was taken")
    reason = f"HTTP {status}"
    if status == 429 or status in _SETUP:
        return ChannelDown(reason)
    if status in (502, 504):
        return UnknownOutcome(reason)
    return TemporaryError(reason) if status >= 500 else PermanentError(reason)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What Apprise logs meanwhile, kept from every other log: it has addresses and texts in it."""
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("apprise")
    with _LISTENING:
        level, propagate = logger.level, logger.propagate
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield lines
        finally:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
