"""An e-mail as bytes: headers, text and HTML part; the same message gives the same bytes.

Written out here rather than by ``email.message``: its generator breaks a long List-Unsubscribe
address into encoded words, which mail programs then can't follow, and takes ten times as long.
"""

import base64
import re
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from functools import lru_cache

from careloop.channels.base import PermanentError, Rendered
from careloop.channels.options import SmtpOptions, is_mail_address

_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_PLAIN = re.compile(r"[\t\n\x20-\x7e]*")
_LINK = re.compile(r"https?://[\x21-\x3b\x3d\x3f-\x7e]+")
LONGEST_LINE = 900


def compose(message: Rendered, options: SmtpOptions, at: datetime) -> bytes:
    """The mail with CRLF line ends; ``at`` (aware) is its Date.

    Raises PermanentError for an address, subject or link that can't stand in a header.
    """
    domain = options.message_id_domain or options.from_address.split("@")[1]
    headers = [
        f"From: {_mailbox(options.from_name, options.from_address)}",
        f"To: {mail_address(message)}",
        f"Subject: {_words(_one_line(message.subject or '', 'the subject'), 'Subject')}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: <{_token(message.message_id)}@{domain}>",
        f"X-Careloop-Message: {message.message_id}",
        f"Content-Language: {_token(message.locale)}",
        # RFC 3834: a machine sent it, so no other machine shall answer it.
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ]
    if options.reply_to:
        headers.append(f"Reply-To: {options.reply_to}")
    headers += _unsubscribe(message.unsubscribe_url)
    return "\r\n".join([*headers, *_body(message)]).encode("ascii")


def mail_address(message: Rendered) -> str:
    """The address as it stands on the wire, its domain in ASCII; raises PermanentError."""
    address = message.address or ""
    if not is_mail_address(address):
        raise PermanentError("the address is no e-mail address", bad_address=True)
    local, domain = address.split("@")
    try:
        wire = f"{local}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        raise PermanentError("the address's domain is none", bad_address=True) from None
    if not local.isascii():
        raise PermanentError("the address has letters before the @ that mail servers don't take")
    return wire


def _body(message: Rendered) -> list[str]:
    if message.html is None:
        return _part("plain", message.text)
    # Not to be found in a part: those that could hold it are in base64.
    mark = f"=_careloop_{message.message_id}"
    return [
        f'Content-Type: multipart/alternative; boundary="{mark}"',
        "",
        f"--{mark}",
        *_part("plain", message.text),
        f"--{mark}",
        *_part("html", message.html),
        f"--{mark}--",
        "",
    ]


def _part(kind: str, text: str) -> list[str]:
    text = _BREAK.sub("\n", text).rstrip("\n") + "\n"
    lines = text.split("\n")
    plain = _PLAIN.fullmatch(text) and "=_careloop_" not in text
    if plain and max(map(len, lines)) <= LONGEST_LINE:
        head, body = "7bit", lines
    else:
        encoded = base64.b64encode(text.replace("\n", "\r\n").encode("utf-8")).decode("ascii")
        head, body = "base64", [encoded[i : i + 76] for i in range(0, len(encoded), 76)]
    return [
        f'Content-Type: text/{kind}; charset="utf-8"',
        f"Content-Transfer-Encoding: {head}",
        "",
        *body,
    ]


def _unsubscribe(url: str | None) -> list[str]:
    """RFC 2369 and, for https, RFC 8058: one click, without a page in between."""
    if not url:
        return []
    if not _LINK.fullmatch(url) or len(url) > LONGEST_LINE:
        raise PermanentError("the unsubscribe link is no web address")
    lines = [f"List-Unsubscribe: <{url}>"]
    if url.startswith("https://"):
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    return lines


def _mailbox(name: str | None, address: str) -> str:
    if not name:
        return address
    if name.isascii():
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{address}>'
    return f"{_words(name, 'From')} <{address}>"


@lru_cache(maxsize=256)
def _words(text: str, header: str) -> str:
    """``text`` as RFC 2047 words of at most 75 characters where it isn't plain ASCII."""
    charset = "us-ascii" if text.isascii() and "=?" not in text else "utf-8"
    return Header(text, charset, maxlinelen=75, header_name=header).encode(linesep="\r\n")


def _one_line(text: str, what: str) -> str:
    if _CONTROL.search(text):
        raise PermanentError(f"{what} has a line break or another control character")
    return text.strip()


def _token(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text):
        raise PermanentError("the message's id or language can't stand in a header")
    return text
