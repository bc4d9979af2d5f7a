"""Keeping personal data out of reasons: what a provider answers often repeats the address."""

import re

_MAIL = re.compile(r"[^\s<>()\[\]:;,\"']+@[^\s<>()\[\]:;,\"']+")
_NUMBER = re.compile(r"\+?\d[\d\s-]{5,}\d")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
LONGEST = 200


def scrubbed(text: str, *secrets: str | None) -> str:
    """``text`` on one line of at most 200 characters without ``secrets``, e-mail addresses and
    long numbers."""
    for secret in secrets:
        if secret and secret.strip():
            text = re.sub(
                rf"(?<!\w){re.escape(secret.strip())}(?!\w)", "…", text, flags=re.IGNORECASE
            )
    text = _NUMBER.sub("…", _MAIL.sub("…", _CONTROL.sub(" ", text)))
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
