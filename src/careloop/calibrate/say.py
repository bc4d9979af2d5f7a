"""Texts of a calibration in both languages, from ``words.yml`` and figures."""

from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from careloop.calibrate.model import Words

LANGUAGES = ("en", "zh")


class Percent(float):
    """A share that is shown in percent."""


class Given(float):
    """A share the pack gives, shown in percent without more digits than it has."""


class Points(float):
    """A difference of shares, shown in points."""


@cache
def templates() -> dict[str, dict[str, str]]:
    """``words.yml``."""
    return yaml.safe_load(files("careloop.calibrate").joinpath("words.yml").read_text("utf-8"))


def say(key: str, /, **values: Any) -> Words:
    """The text of a key with its figures; Words among them come in the text's language."""
    texts = {
        lang: templates()[key][lang].format(**{k: shown(v, lang) for k, v in values.items()})
        for lang in LANGUAGES
    }
    return Words(**texts)


def join(parts: list[Words], english: str = "; ", chinese: str = "；") -> Words:
    """Several texts as one."""
    return Words(english.join(p.en for p in parts), chinese.join(p.zh for p in parts))


def shown(value: Any, lang: str) -> str:
    """A value as people read it: shares in percent, thousands apart, dates in full."""
    if isinstance(value, Words):
        return getattr(value, lang)
    if isinstance(value, Given):
        return f"{value * 100:.6g}%"
    if isinstance(value, Percent):
        return f"{_digits(value * 100)}%"
    if isinstance(value, Points):
        return f"{value * 100:+.1f}".replace("-", "−")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _digits(percent: float) -> str:
    return f"{percent:.2f}" if 0 < abs(percent) < 1 else f"{percent:.1f}"
