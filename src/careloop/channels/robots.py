"""Robots in the group chats of WeCom, DingTalk and Feishu, which take one text for everybody."""

import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

from careloop.channels.base import ChannelDown, PermanentError, Receipt, Rendered, UnknownOutcome
from careloop.channels.options import WebhookOptions

# Bytes of one text. WeCom: developer.work.weixin.qq.com/document/path/91770; DingTalk: 20,000 for
# the whole body; Feishu: 20 KB for the whole body (open.feishu.cn, custom bot guide).
LONGEST = {"wecom_robot": 2048, "dingtalk_robot": 15_000, "feishu_robot": 15_000}
# Too many calls: WeCom 45009 (20 a minute), DingTalk 130101 and 410100, Feishu 11232.
SLOWER = {45009, 130101, 410100, 11232}
# The robot is gone, or its key, signature, keyword or address list is wrong: true of every text.
SETUP = {93000, 310000, 400013, 400101, 400102, 19001, 19021, 19022, 19024}
WAIT = 60.0


def body(message: Rendered, options: WebhookOptions) -> dict[str, Any]:
    """The text under its subject, cut at a line where it is too long for the robot."""
    subject = f"{message.subject}\n" if message.subject else ""
    content = fitting(subject + message.text, LONGEST[options.shape])
    if options.shape == "feishu_robot":
        return {**options.constants, "msg_type": "text", "content": {"text": content}}
    return {**options.constants, "msgtype": "text", "text": {"content": content}}


def fitting(text: str, most: int) -> str:
    """``text``, or as many whole lines of it as fit into ``most`` bytes with a … after them."""
    text = text.strip()
    if len(text.encode()) <= most:
        return text
    kept, size = [], len("\n…".encode())
    for line in text.splitlines():
        size += len(line.encode()) + 1
        if size > most:
            break
        kept.append(line)
    if not kept:
        return text.encode()[: most - 3].decode(errors="ignore") + "…"
    return "\n".join(kept).rstrip() + "\n…"


def accepted(answer: Any) -> Receipt:
    """The receipt of a 2xx answer; raises DeliveryError where its code says no."""
    found = answer if isinstance(answer, dict) else {}
    code = next((found[k] for k in ("errcode", "code", "StatusCode") if k in found), None)
    if not isinstance(code, int):
        raise UnknownOutcome("the robot's answer has no code")
    if code in SLOWER:
        raise ChannelDown(f"the robot answered {code}: too many calls", WAIT)
    if code in SETUP:
        raise ChannelDown(f"the robot answered {code}: look at its address, secret and keywords")
    if code != 0:
        raise PermanentError(f"the robot answered {code}")
    return Receipt(None, "accepted")


def signed_url(url: str, secret: str, seconds: int) -> str:
    """DingTalk: time in milliseconds and base64 HMAC-SHA256 of ``time\\nsecret`` in the address."""
    stamp = str(seconds * 1000)
    mac = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)
    signature = base64.b64encode(mac.digest()).decode()
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'timestamp': stamp, 'sign': signature})}"


def signed_fields(secret: str, seconds: int) -> dict[str, str]:
    """Feishu: base64 HMAC-SHA256 of nothing, with ``time\\nsecret`` as the key, in the body."""
    key = f"{seconds}\n{secret}".encode()
    signature = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
    return {"timestamp": str(seconds), "sign": signature}
