"""What codes of the CRM and durations of the pack mean to people, in both languages."""

from functools import cache
from importlib.resources import files

import yaml

from careloop.program.base import split_duration

UNITS = {
    "s": (("second", "seconds"), "秒"),
    "m": (("minute", "minutes"), "分钟"),
    "h": (("hour", "hours"), "小时"),
    "d": (("day", "days"), "天"),
    "w": (("week", "weeks"), "周"),
    "mo": (("month", "months"), "个月"),
    "q": (("quarter", "quarters"), "个季度"),
    "y": (("year", "years"), "年"),
    "wd": (("working day", "working days"), "个工作日"),
}


@cache
def codes() -> dict[str, dict[str, dict[str, str]]]:
    """``codes.yml``: kind → code → en and zh."""
    return yaml.safe_load(files("careloop.program").joinpath("codes.yml").read_text("utf-8"))


def code_text(kind: str, code: str, lang: str) -> str:
    """A code in words; one without words reads as it is, without its underscores."""
    entry = codes()[kind].get(code)
    return entry[lang] if entry else code.replace("_", " ")


def duration_text(value: str, lang: str) -> str:
    """A duration in words: ``3wd`` is 3 working days."""
    amount, unit = split_duration(value)
    (one, more), zh = UNITS[unit]
    return f"{amount} {zh}" if lang == "zh" else f"{amount} {one if amount == 1 else more}"
