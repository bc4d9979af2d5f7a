"""Bodies a webhook can have, and what a provider's answer in JSON means."""

from dataclasses import dataclass
from typing import Any

from careloop.channels import robots
from careloop.channels.base import (
    ChannelDown,
    DeliveryError,
    PermanentError,
    Receipt,
    Rendered,
    TemporaryError,
    UnknownOutcome,
)
from careloop.channels.options import FIELDS, WebhookOptions
from careloop.channels.private import scrubbed

GATEWAY_FIELDS = ("message_id", "address", "text", "purpose", "locale")
# https://developer.work.weixin.qq.com/document/path/90313 (global error codes).
WECOM_TOKEN = {40001, 40014, 41001, 42001}
WECOM_ADDRESS = {40003, 60111, 60104, 81013, 82001}
WECOM_LATER = {-1, 6000}
WECOM_SLOWER = {45009, 45033, 45047}


@dataclass(frozen=True)
class TokenExpired(Exception):
    """WeCom wants a new access token; the message was not taken."""

    code: int


def body(message: Rendered, options: WebhookOptions) -> dict[str, Any]:
    """What is posted, without what is not known."""
    if options.shape.endswith("_robot"):
        return robots.body(message, options)
    if options.shape == "wecom":
        return {
            **options.constants,
            "touser": message.address,
            "msgtype": "text",
            "agentid": options.agent_id,
            "text": {"content": message.text},
            # The same text to the same person within four hours is delivered once.
            "enable_duplicate_check": 1,
            "duplicate_check_interval": 14400,
        }
    names = GATEWAY_FIELDS if options.shape == "sms_gateway" else FIELDS
    fields = {name: getattr(message, name) for name in names}
    if options.shape == "sms_gateway":
        fields = {{"address": "to"}.get(name, name): value for name, value in fields.items()}
    renamed = {_name(name, options): value for name, value in fields.items()}
    known = {name: value for name, value in renamed.items() if value not in (None, {})}
    return {**options.constants, **known}


def _name(name: str, options: WebhookOptions) -> str:
    return options.rename.get("address" if name == "to" else name, name)


def accepted(answer: Any, message: Rendered, options: WebhookOptions) -> Receipt:
    """The receipt of a 2xx answer; raises DeliveryError or TokenExpired where its code says no."""
    if options.shape == "wecom":
        return _wecom(answer)
    if options.shape.endswith("_robot"):
        return robots.accepted(answer)
    number = _text(at_path(answer, options.provider_id_path))
    if options.code_path:
        code = _text(at_path(answer, options.code_path))
        if code not in options.ok_codes:
            raise _refused(code, message, options)
    return Receipt(scrubbed(number, message.address) if number else None, "accepted")


def _refused(code: str | None, message: Rendered, options: WebhookOptions) -> DeliveryError:
    if code is None:
        return UnknownOutcome(f"the answer has no {options.code_path}")
    reason = scrubbed(f"the provider answered {options.code_path} {code}", message.address)
    if code in options.temporary_codes:
        return TemporaryError(reason)
    return PermanentError(reason, code in options.bad_address_codes)


def _wecom(answer: Any) -> Receipt:
    code = answer.get("errcode") if isinstance(answer, dict) else None
    if not isinstance(code, int):
        raise UnknownOutcome("WeCom's answer has no errcode")
    if code in WECOM_TOKEN:
        raise TokenExpired(code)
    reason = f"WeCom answered errcode {code}"
    if code in WECOM_ADDRESS or (code == 0 and answer.get("invaliduser")):
        raise PermanentError(f"{reason}: no such user", bad_address=True)
    if code in WECOM_LATER:
        raise TemporaryError(reason)
    if code in WECOM_SLOWER:
        raise ChannelDown(f"{reason}: too many calls", 60.0)
    if code != 0:
        raise PermanentError(reason)
    return Receipt(_text(answer.get("msgid")), "accepted")


def at_path(answer: Any, path: str | None) -> Any:
    """The value at ``data.items.0.id`` of JSON; None if there is none."""
    value = answer
    for part in (path or "").split(".") if path else []:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value if path else None


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, (dict, list)):
        return None
    return str(value)
