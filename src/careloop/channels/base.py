"""What a channel takes, gives back, and may refuse with."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True)
class Rendered:
    """One message ready to go; the only object that holds personal data. Times are UTC."""

    message_id: str
    decision_key: str
    customer_id: str
    rule: str
    purpose: str
    channel: str
    locale: str
    address: str | None
    subject: str | None
    text: str
    html: str | None = None
    unsubscribe_url: str | None = None
    offer: str | None = None
    owner_role: str | None = None
    owner_id: str | None = None
    due_at: str | None = None
    about: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Receipt:
    """The provider took it over. provider_id: its own name for the message, if it gave one."""

    provider_id: str | None = None
    detail: str = ""


class DeliveryError(Exception):
    """Base of what a channel raises; reason holds no personal data."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryError(DeliveryError):
    """This message later; retry_after: seconds the provider asked for."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class PermanentError(DeliveryError):
    """Never; bad_address: the address is wrong and should not be used again."""

    def __init__(self, reason: str, bad_address: bool = False) -> None:
        super().__init__(reason)
        self.bad_address = bad_address


class ChannelDown(DeliveryError):
    """Nothing was handed over and the whole channel should rest; retry_after: seconds, if known."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class UnknownOutcome(DeliveryError):
    """It was handed over and no answer came: it may have gone out."""


class Channel(Protocol):
    """One way to reach people; a context manager around one connection for many messages.

    accepts_idempotency_key: whether the provider recognises a message it has had before.
    """

    name: str
    accepts_idempotency_key: bool

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def send(self, message: Rendered) -> Receipt:
        """Hand over one message; raises a DeliveryError."""
        ...


class CheckedChannel(Channel, Protocol):
    """A channel that can say whether it would work."""

    def check(self) -> str:
        """What is there, in words, after connecting and logging in; raises ChannelDown."""
        ...
