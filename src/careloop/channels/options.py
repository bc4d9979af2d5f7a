"""What `[channels.NAME]` of careloop.toml may say: one closed model for each type of channel."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

Word = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
Seconds = Annotated[float, Field(gt=0, le=600)]
FIELDS = (
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
    "offer",
    "about",
)

_ADDRESS = re.compile(r"^[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]+@[^\s@<>(),;:\\\"\[\]\x00-\x1f\x7f]+$")


def is_mail_address(text: str) -> bool:
    """One plain address, without a name, a list, or anything that could end a header line."""
    if not _ADDRESS.match(text) or len(text) > 254 or text != text.strip():
        return False
    local, domain = text.split("@")
    labels = domain.split(".")
    dots = local.startswith(".") or local.endswith(".") or ".." in local
    hyphens = any(label.startswith("-") or label.endswith("-") for label in labels)
    return not dots and not hyphens and all(labels) and len(local) <= 64


def _mail_address(value: str) -> str:
    if not is_mail_address(value.replace("{message_id}", "x")) or not value.isascii():
        raise PydanticCustomError("channel", "is no e-mail address in ASCII letters")
    return value


MailAddress = Annotated[str, AfterValidator(_mail_address)]


class Options(BaseModel):
    """What every type has."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    rate: Annotated[str, StringConstraints(pattern=r"^\s*\d+(\.\d+)?\s*/\s*[smh]\s*$")] | None = (
        Field(
            None,
            description='At most so many messages, e.g. "10/s", "600/m"; unlimited if left out.',
        )
    )
    tries: Annotated[int, Field(ge=1)] = Field(
        5, description="Temporary failures after which a message is given up."
    )


class FileOptions(Options):
    """A dry run: messages are written to files and go nowhere."""

    type: Literal["file"] = "file"


class TaskOptions(Options):
    """A list for people."""

    type: Literal["task"] = "task"


class SmtpOptions(Options):
    """E-mail over a mail server. Password: CARELOOP_CHANNEL_<NAME>_PASSWORD."""

    type: Literal["smtp"]
    host: Word = Field(description="Name of the mail server.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="587 with starttls, 465 with tls, 25 with none if left out."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="starttls: encrypted after the greeting; tls: from the first byte; "
        "none: only to a server on this machine.",
    )
    ca_file: Word | None = Field(
        None, description="PEM file of the authority that signed the server's certificate; the "
        "system's authorities if left out.",
    )  # fmt: skip
    username: Word | None = Field(None, description="Name to log in with; no login if left out.")
    from_address: MailAddress = Field(description="Address in From.")
    from_name: Word | None = Field(None, description="Name in From.")
    reply_to: MailAddress | None = Field(None, description="Where answers go.")
    bounce_address: MailAddress | None = Field(
        None,
        description="Envelope sender, where bounces go; may hold {message_id}, so that a bounce "
        "names its message. from_address if left out.",
    )
    message_id_domain: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+$")] | None = (
        Field(None, description="Right side of Message-ID; the domain of from_address if left out.")
    )
    messages_per_connection: Annotated[int, Field(ge=1)] = Field(
        500, description="Messages after which the connection is made anew."
    )
    timeout_seconds: Seconds = Field(30.0, description="How long to wait for the server.")

    @model_validator(mode="after")
    def _plain_text_stays_here(self) -> Self:
        if self.security == "none" and not is_loopback(self.host):
            raise PydanticCustomError(
                "channel",
                "security: none would send personal data in the clear; allowed: starttls, tls",
            )
        return self


class WebhookOptions(Options):
    """HTTP POST of JSON. Address: CARELOOP_CHANNEL_<NAME>_URL; signature with _SECRET; bearer
    token from _PASSWORD."""

    type: Literal["webhook"]
    shape: Literal[
        "generic", "sms_gateway", "wecom", "wecom_robot", "dingtalk_robot", "feishu_robot"
    ] = Field("generic", description="What the body looks like.")
    rename: dict[Literal[FIELDS], Word] = Field(  # type: ignore[valid-type]
        {}, description="Other names for fields of the body: ours = theirs."
    )
    constants: dict[Word, str | int | bool] = Field(
        {}, description="What else stands in every body, such as a signature or template number."
    )
    provider_id_path: Word | None = Field(
        None, description="Where the answer has the provider's own id, e.g. data.id."
    )
    code_path: Word | None = Field(
        None, description="Where the answer has a code that says whether it was taken, e.g. code."
    )
    ok_codes: list[Word] = Field([], description="Codes that mean yes; needs code_path.")
    bad_address_codes: list[Word] = Field([], description="Codes for an address that is wrong.")
    temporary_codes: list[Word] = Field([], description="Codes for: again later.")
    idempotent: bool | None = Field(
        None,
        description="Whether the receiver refuses to deliver one Idempotency-Key twice. True if "
        "left out for generic, false for the others.",
    )
    corp_id: Word | None = Field(None, description="wecom: the company's id.")
    agent_id: int | None = Field(None, description="wecom: the application's id.")
    timeout_seconds: Seconds = Field(15.0, description="How long to wait for the answer.")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.shape == "wecom":
            if not self.corp_id or self.agent_id is None:
                raise PydanticCustomError("channel", "shape wecom needs corp_id and agent_id")
            if self.code_path or self.rename:
                raise PydanticCustomError(
                    "channel", "shape wecom has its own names and codes; remove rename, code_path"
                )
        elif self.shape.endswith("_robot") and (self.code_path or self.rename or self.idempotent):
            raise PydanticCustomError(
                "channel", "robots have their own names and codes; remove rename, code_path, "
                "idempotent",
            )  # fmt: skip
        elif self.corp_id or self.agent_id is not None:
            raise PydanticCustomError("channel", "corp_id and agent_id are for shape wecom")
        codes = [*self.ok_codes, *self.bad_address_codes, *self.temporary_codes]
        if bool(self.code_path) != bool(self.ok_codes) or (codes and not self.code_path):
            raise PydanticCustomError("channel", "code_path and ok_codes belong together")
        return self


class AppriseOptions(Options):
    """A group robot or anything else Apprise knows. Address: CARELOOP_CHANNEL_<NAME>_URL."""

    type: Literal["apprise"]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
