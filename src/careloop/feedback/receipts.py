"""One receipt: what a provider, a person or a link says about one message."""

import hashlib
import re
from datetime import UTC
from typing import Annotated, Literal, Self, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

Kind = Literal[
    "delivered",
    "opened",
    "clicked",
    "replied",
    "answered",
    "done",
    "soft_bounce",
    "hard_bounce",
    "complaint",
    "unsubscribed",
]
KINDS: tuple[str, ...] = get_args(Kind)
Name = Annotated[str, Field(min_length=1, max_length=200)]
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_REPLY = re.compile(r"^\s*[45]\d\d\b")


class Receipt(BaseModel):
    """What came back for a message, named by careloop's id or the provider's.

    receipt_id: the provider's name of the receipt; the same one counts once. Without it, message,
    kind and time are. address: the one that bounced; used for its hash and never kept. detail:
    only a status code such as 5.1.1 is kept of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    kind: Kind
    at: AwareDatetime
    message_id: Name | None = None
    provider_id: Name | None = None
    receipt_id: Name | None = None
    address: Annotated[str, Field(min_length=1, max_length=320)] | None = None
    detail: Annotated[str, Field(max_length=4000)] | None = None

    @model_validator(mode="after")
    def _names_a_message(self) -> Self:
        if self.message_id is None and self.provider_id is None:
            raise ValueError("needs message_id or provider_id")
        return self

    def feedback_id(self, message_id: str) -> str:
        """32 hex digits: the same for the same receipt of this message, however often it comes."""
        moment = self.at.astimezone(UTC).isoformat()
        own = [self.receipt_id] if self.receipt_id else [self.kind, moment]
        return hashlib.sha256("|".join([message_id, *own]).encode()).hexdigest()[:32]

    @property
    def status(self) -> str | None:
        """The status code in the detail (RFC 3463, or a reply code of SMTP), if it has one."""
        text = self.detail or ""
        found = _STATUS.search(text) or _REPLY.search(text)
        return found[0].strip() if found else None
