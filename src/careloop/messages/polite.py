"""How a customer is addressed, and how dates, money and offers read, by language."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from careloop.program.base import language, split_duration
from careloop.program.care import Offer
from careloop.program.dates import MONTHS, months_after

COMPOUND_SURNAMES = re.compile(
    "欧阳|太史|端木|上官|司马|东方|独孤|南宫|万俟|闻人|夏侯|诸葛|尉迟|公羊|赫连|澹台|皇甫|宗政|濮阳|公冶|"
    "太叔|申屠|公孙|慕容|仲孙|钟离|长孙|宇文|司徒|鲜于|司空|闾丘|令狐|百里|呼延|东郭|南门|西门|第五|轩辕|"
    "拓跋|完颜|纳兰"
)
_CHINESE = re.compile(r"[\u3400-\u9fff]+(·[\u3400-\u9fff]+)*")
_NOT_A_NAME = re.compile(r"://|www\.|@|\.(com|cn|net|org|top|xyz|info)\b", re.IGNORECASE)
_LONGEST_NAME = 60
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
_MONTHS += ("October", "November", "December")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAYS_ZH = "一二三四五六日"


def clean(value: object) -> str | None:
    """A text in one line without control characters, or None if nothing is left."""
    if value is None:
        return None
    text = str(value)
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join(text.split()) or None


def clean_name(value: object) -> str | None:
    """A name as it may stand in a message; None for what is none, such as an advertisement somebody
    registered with to have it sent on."""
    name = clean(value)
    if name is None or len(name) > _LONGEST_NAME or _NOT_A_NAME.search(name):
        return None
    return name


def called(person: str | None, sex: str | None, company: str | None, locale: str) -> str | None:
    """The polite form: 王女士, Ms Carter; the full name where the sex isn't known; the company
    where the person isn't."""
    if person is None:
        return company
    lang = language(locale)
    if sex not in ("female", "male"):
        return person
    if _CHINESE.fullmatch(person):
        if lang != "zh" or "·" in person or len(person) < 2:
            return person
        long = COMPOUND_SURNAMES.match(person) and len(person) > 2
        return person[: 2 if long else 1] + ("女士" if sex == "female" else "先生")
    if lang == "zh":
        return person + ("女士" if sex == "female" else "先生")
    title = "Ms" if sex == "female" else "Mr"
    return f"{title} {person.split()[-1]}" if " " in person else person


def greeting(form: str | None, locale: str) -> str:
    """The first line of a message to someone called ``form``."""
    if language(locale) == "zh":
        return f"{form}，您好：" if form else "您好："
    return f"Dear {form}," if form else "Hello,"


def day(value: object, locale: str) -> str | None:
    """A date in words: 2026年11月8日, 8 November 2026."""
    found = as_date(value)
    if found is None:
        return None
    if language(locale) == "zh":
        return f"{found.year}年{found.month}月{found.day}日"
    return f"{found.day} {_MONTHS[found.month - 1]} {found.year}"


def moment(value: object, zone: str, locale: str) -> str | None:
    """A time given in UTC, in words of the zone; midnight as 24:00 of the day it ends."""
    if value is None:
        return None
    local = _local(value, zone)
    joint = " " if language(locale) == "zh" else ", "
    if local.hour == local.minute == 0:
        return f"{day(local.date() - timedelta(days=1), locale)}{joint}24:00"
    return f"{day(local.date(), locale)}{joint}{local:%H:%M}"


def by_time(value: object, zone: str, locale: str, now: datetime | None = None) -> str | None:
    """Until when, in words of the zone: 明天 15:00 前, by tomorrow 15:00. value, now: UTC; None if
    it is over by now. Without now the date is always told. Seconds are cut off: rather early."""
    if value is None or value == "":
        return None
    until, seen = _local(value, zone), _local(now, zone) if now else None
    if seen is not None and until <= seen:
        return None
    midnight = until.hour == until.minute == 0
    on = until.date() - timedelta(days=1) if midnight else until.date()
    clock = "24:00" if midnight else f"{until:%H:%M}"
    ahead = (on - seen.date()).days if seen else None
    if language(locale) == "zh":
        near = {0: "今天 ", 1: "明天 ", 2: "后天 "}.get(-1 if ahead is None else ahead)
        dated = f"{on.month}月{on.day}日（周{_WEEKDAYS_ZH[on.weekday()]}）"
        return f"{near or dated}{clock} 前"
    if ahead == 0:
        return f"by {clock} today"
    named = f"{_WEEKDAYS[on.weekday()]}, {on.day} {_MONTHS[on.month - 1]},"
    return f"by {'tomorrow' if ahead == 1 else named} {clock}"


def _local(value: object, zone: str) -> datetime:
    """A time given in UTC as wall time of the zone."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware.astimezone(ZoneInfo(zone))


def as_date(value: object) -> date | None:
    """A date from a date, a time or ISO text; None from nothing."""
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def number(value: object) -> str | None:
    """A whole number with separators, or two places: 1,200 · 128.50."""
    if value is None or value == "":
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return clean(value)
    whole = amount == amount.to_integral_value()
    return f"{amount:,.0f}" if whole else f"{amount:,.2f}"


def money(value: object, currency: str, locale: str) -> str | None:
    """An amount with its currency: 128.50 元, CNY 128.50."""
    text = number(value)
    if text is None:
        return None
    return f"{text} 元" if language(locale) == "zh" and currency == "CNY" else f"{currency} {text}"


def offer_value(offer: Offer, currency: str, locale: str) -> str:
    """What an offer is worth: 8 折, 20 % off; its title where it has no figure."""
    lang = language(locale)
    if offer.value is None:
        return getattr(offer.title, lang)
    if offer.kind == "discount_share":
        off = round(offer.value * 100)
        left = 100 - off
        fold = left // 10 if left % 10 == 0 else left
        return f"{fold} 折" if lang == "zh" else f"{off} % off"
    if offer.kind == "points":
        return f"{number(offer.value)} {'积分' if lang == 'zh' else 'points'}"
    return money(offer.value, currency, locale) or ""


def valid_until(offer: Offer, given_on: date | None) -> date | None:
    """Last day of an offer given on a day; its own start where that is later."""
    if given_on is None:
        return None
    start = max(given_on, offer.starts_on or given_on)
    amount, unit = split_duration(offer.valid)
    if unit in MONTHS:
        return months_after(start, amount * MONTHS[unit])
    days = {"d": amount, "wd": amount, "w": amount * 7}.get(unit, 0)
    return start + timedelta(days=days)
