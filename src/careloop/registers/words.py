"""What cells say in both languages, for the codes the marts and the CRM have."""

from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from careloop.program.codes import codes


@cache
def words() -> dict[str, Any]:
    """``words.yml``."""
    return yaml.safe_load(files("careloop.registers").joinpath("words.yml").read_text("utf-8"))


def word(kind: str, value: str | None, lang: str) -> str | None:
    """How a code reads; the code itself where there is no word for it."""
    return {**codes(), **words()}[kind].get(value, {}).get(lang, value) if value else None


def choices(kind: str, lang: str) -> list[str]:
    """The words of a kind, for a list to choose from."""
    return [text[lang] for text in words()[kind].values()]
