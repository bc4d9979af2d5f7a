"""The page's words in both languages, and how a value reads in them."""

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from careloop.program.codes import code_text, codes
from careloop.program.measures import MEASURES

UNKNOWN = "–"


@cache
def words() -> dict[str, Any]:
    """``words.yml``: page, fields, units, values and phrases."""
    text = files("careloop.customer_page").joinpath("words.yml").read_text("utf-8")
    return yaml.safe_load(text)


@cache
def _phrases(lang: str) -> list[tuple[re.Pattern[str], str]]:
    """Patterns of fixed sentences and what they read in a language; English ones mostly stay."""
    return [
        (re.compile(phrase["pattern"].replace("{}", _NUMBER)), phrase[lang])
        for phrase in words()["phrases"]
        if lang in phrase
    ]


@cache
def _measures() -> re.Pattern[str]:
    """Names of measures in a text; those of one word are words of the language, too."""
    return re.compile(r"\b(" + "|".join(name for name in MEASURES if "_" in name) + r")\b")


class Words:
    """Reads out names and values. lang: en or zh; zone: of local times; currency: of money;
    windows: days of the program's short, medium and long window."""

    def __init__(self, lang: str, zone: str, currency: str, windows: dict[str, str]) -> None:
        self.lang = lang
        self.zone = ZoneInfo(zone)
        self.currency = currency
        self.windows = windows

    def page(self, key: str, **values: Any) -> str:
        """A text of the page itself."""
        return words()["page"][key][self.lang].format(**values)

    def field(self, name: str) -> str:
        """The name of a field; its own where no other is known."""
        entry = words()["fields"].get(name)
        return entry[self.lang].format(**self.windows) if entry else name.replace("_", " ")

    def value(self, name: str, value: Any, titles: dict[str, dict[str, str]]) -> str:
        """The value of a field; ``titles``: of the program's ids that may stand in it."""
        if value is None or value == "":
            return UNKNOWN
        if isinstance(value, bool):
            return words()["values"][str(value).lower()][self.lang]
        if isinstance(value, datetime):
            # Times are stored in UTC without saying so.
            moment = value + (self.zone.utcoffset(value.replace(tzinfo=ZoneInfo("UTC"))) or _NONE)
            return f"{moment:%Y-%m-%d %H:%M}"
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, int | float | Decimal):
            return self._number(self._form(name), value)
        if isinstance(value, list):
            return " – ".join(_short(float(part)) for part in value)
        known = titles.get(str(value)) or self._code(name, str(value))
        if known:
            return known if isinstance(known, str) else known[self.lang]
        return self.text(str(value)) if self._form(name) == "words" else str(value)

    def _code(self, name: str, code: str) -> str | dict[str, str] | None:
        """A value of the CRM in words: of the field's kind of codes, else the same everywhere.
        Of several, as of interests, each."""
        kind = words()["fields"].get(name, {}).get("codes")
        if kind and ";" in code:
            return self.page("between").join(code_text(kind, c, self.lang) for c in code.split(";"))
        return (codes()[kind].get(code) if kind else None) or words()["values"].get(code)

    def text(self, text: str) -> str:
        """A reason of the marts: measures by their names for people, sentences translated."""
        text = _measures().sub(lambda found: self._measure(found[0]), text)
        for pattern, replacement in _phrases(self.lang):
            text = pattern.sub(replacement, text)
        return text

    def _measure(self, name: str) -> str:
        if name in words()["fields"]:
            return self.field(name)
        about = MEASURES[name].about_zh if self.lang == "zh" else MEASURES[name].about_en
        for window, days in self.windows.items():
            about = about.replace(f"the {window} window", f"{days} days")
            about = about.replace(f"{_WINDOWS[window]}窗口内", f"近 {days} 天")
        return about[:1].lower() + about[1:]

    def _form(self, name: str) -> str:
        return words()["fields"].get(name, {}).get("as", "")

    def _number(self, form: str, value: float | Decimal) -> str:
        if form == "share":
            return f"{100 * float(value):.0f} %"
        if form == "money":
            unit = "元" if self.lang == "zh" and self.currency == "CNY" else self.currency
            return f"{value:,.2f} {unit}"
        if form == "chance":
            return "< 0.01 %" if value < 0.0001 else f"{100 * float(value):.2f} %"
        if form in ("score", "bar"):
            return f"{float(value):.0f}"
        if form == "change":
            return f"{float(value):+.1f}" if value else "0"
        if form == "hours":
            return words()["units"][form][self.lang].format(f"{value:,.1f}")
        if form == "late":
            return self._number("days", value) if value else UNKNOWN
        if form == "until":
            days = int(value)
            unit = _UNTIL.get(days, "ahead" if days > 0 else "ago")
            return words()["units"][unit][self.lang].format(abs(days))
        if form == "points_of":
            return f"{float(value):.1f}"
        text = f"{value:,}" if isinstance(value, int) else _short(float(value))
        unit = words()["units"].get("day" if (form, text) == ("days", "1") else form)
        return unit[self.lang].format(text) if unit else text


_NONE = timedelta()
_NUMBER = r"([\d.,]*\d)"
_WINDOWS = {"short": "短期", "medium": "中期", "long": "长期"}
_UNTIL = {1: "tomorrow", 0: "today", -1: "one_ago"}


def _short(value: float) -> str:
    """Three digits that matter, no trailing zeros."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
