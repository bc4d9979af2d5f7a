"""The lists' words in both languages."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from careloop.program.codes import codes


@cache
def words() -> dict[str, Any]:
    """``words.yml``."""
    return yaml.safe_load(files("careloop.escalate").joinpath("words.yml").read_text("utf-8"))


def say(key: str, lang: str, **values: object) -> str:
    """A sentence of ``words.yml`` with its values."""
    return words()[key][lang].format(**values)


def word(kind: str, value: str | None, lang: str) -> str:
    """How a value of a kind reads; the value itself where there is no word for it."""
    known = words().get(kind) or codes()[kind]
    return known.get(value, {}).get(lang, value) if value else ""
