"""The page's words in both languages, and how a value reads in them."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

UNKNOWN = "–"


@cache
def words() -> dict[str, dict[str, Any]]:
    """``words.yml``: page, fields, units and values."""
    text = files("careloop.customer_page").joinpath("words.yml").read_text("utf-8")
    return yaml.safe_load(text)


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
            return self._number(words()["fields"].get(name, {}).get("as", ""), value)
        known = titles.get(str(value)) or words()["values"].get(str(value))
        return known[self.lang] if known else str(value)

    def _number(self, form: str, value: float | Decimal) -> str:
        if form == "share":
            return f"{100 * float(value):.0f} %"
        if form == "money":
            return f"{value:,.2f} {self.currency}"
        if form == "score":
            return f"{float(value):.0f}"
        if form == "change":
            return f"{float(value):+.0f}"
        if form == "hours":
            return words()["units"][form][self.lang].format(f"{value:,.1f}")
        if form == "late":
            return self._number("days", value) if value else UNKNOWN
        text = f"{value:,}" if isinstance(value, int) else _short(float(value))
        unit = words()["units"].get("day" if (form, text) == ("days", "1") else form)
        return unit[self.lang].format(text) if unit else text


_NONE = timedelta()


def _short(value: float) -> str:
    """Three digits that matter, no trailing zeros."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
