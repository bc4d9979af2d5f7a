"""The values of a template's variables: from a ledger message and who it is for, or as examples."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from careloop.messages.links import survey_url, unsubscribe_url
from careloop.messages.polite import (
    as_date,
    by_time,
    called,
    clean,
    clean_name,
    day,
    greeting,
    moment,
    money,
    number,
    offer_value,
    valid_until,
)
from careloop.messages.variables import available
from careloop.program.base import Text, language
from careloop.program.care import Offer
from careloop.program.channels import SPOKEN
from careloop.program.model import Program
from careloop.program.rule_words import RuleWords
from careloop.program.rules import Rule
from careloop.settings import Settings

SENDER = {"zh": "客户服务中心", "en": "Customer care"}
_NOBODY = {"zh": "客户", "en": "the customer"}
_LANGUAGES = {
    "zh": {"zh": "中文", "en": "英文"},
    "en": {"zh": "Chinese", "en": "English"},
}
_EXAMPLE_DAY = date(2026, 11, 1)
# Why a ticket is overdue: (English, Chinese).
REASONS = {
    "incident": (
        "It is part of an outage that touches several customers.",
        "这个问题与一起影响多位客户的故障有关。",
    ),
    "complex": (
        "It is a complex case and takes longer to look into.",
        "这个问题比较复杂，核实和处理需要更多时间。",
    ),
    "backlog": (
        "The colleague in charge has more requests than could be dealt with in time.",
        "负责的同事手上工单较多，没有及时处理。",
    ),
}


@dataclass(frozen=True)
class Person:
    """What the lake knows of one customer; None is unknown. owner: name of the task's owner."""

    name: str | None = None
    company_name: str | None = None
    contact_person: str | None = None
    position: str | None = None
    phone: str | None = None
    email: str | None = None
    wecom_id: str | None = None
    push_token: str | None = None
    sex: str | None = None
    owner: str | None = None


def is_task(rule: Rule, channel: str) -> bool:
    """Whether a person does it: the text is then for that person."""
    return rule.who != "automatic" or channel in SPOKEN


def values(
    settings: Settings,
    program: Program,
    message: Mapping[str, Any],
    person: Person,
    locale: str,
    customer_locale: str | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Every variable for one ledger message in a locale; None where it has no value.

    customer_locale: where the text itself is for an employee, the customer's. now: when it is
    sent (UTC); without it times are told with their date, and nothing counts as over.
    """
    about = about_of(message)
    return {
        **_customer(message, person, locale, customer_locale or locale),
        **_program(program, message, about, locale),
        **_offer(program, message, locale),
        **_payload(program, message, about, locale),
        **_service(program, about, locale, now),
        "sender": clean(settings.sender_name) or SENDER[language(locale)],
        "owner": clean_name(person.owner),
        "due": moment(message.get("due_at"), program.zone, locale),
        "survey_url": survey_url(settings, message),
        "shop_url": settings.shop_url,
        "unsubscribe_url": unsubscribe_url(settings, message),
    }


def about_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message's payload, which the ledger keeps as JSON text."""
    about = message.get("about") or {}
    return dict(about) if isinstance(about, Mapping) else json.loads(about)


def _customer(
    message: Mapping[str, Any], person: Person, locale: str, speaks: str
) -> dict[str, Any]:
    lang = language(locale)
    name, company = clean_name(person.name), clean_name(person.company_name)
    contact = clean_name(person.contact_person)
    form = called(name or contact, person.sex, company, locale)
    return {
        "greeting": greeting(form, locale),
        "called": form or _NOBODY[lang],
        "name": name,
        "company": company,
        "contact_person": contact,
        "position": clean_name(person.position),
        "customer_id": clean(message["customer_id"]),
        "speaks": _LANGUAGES[lang][language(speaks)],
    }


def _program(
    program: Program, message: Mapping[str, Any], about: dict[str, Any], locale: str
) -> dict[str, Any]:
    tiers = program.loyalty.tiers if program.loyalty else []
    tier = next((t for t in tiers if t.id == about.get("tier")), None)
    lang = language(locale)
    gets = [getattr(text, lang) for text in tier.gets] if tier else []
    return {
        "segment": _title(program.segments, about.get("segment") or message.get("segment"), lang),
        "stage": _title(program.stages, about.get("stage") or message.get("stage"), lang),
        "tier": getattr(tier.title, lang) if tier else clean(about.get("tier")),
        "tier_gets": ("、" if lang == "zh" else ", ").join(gets) or None,
    }


def _title(things: list[Any], name: object, lang: str) -> str | None:
    found: Text | None = next((thing.title for thing in things if thing.id == name), None)
    return getattr(found, lang) if found else clean(name)


def _offer(program: Program, message: Mapping[str, Any], locale: str) -> dict[str, Any]:
    offer = next((o for o in program.offers if o.id == message.get("offer")), None)
    given = as_date(message.get("contact_on") or message.get("not_before") or message.get("as_of"))
    until = as_date(message.get("offer_until"))
    return offer_values(
        offer, program.currency, locale, until or (offer and valid_until(offer, given))
    )


def offer_values(
    offer: Offer | None, currency: str, locale: str, until: date | None
) -> dict[str, Any]:
    """The variables of an offer; all empty without one."""
    if offer is None:
        return dict.fromkeys(("offer_title", "offer_value", "offer_min_spend", "offer_until"))
    return {
        "offer_title": getattr(offer.title, language(locale)),
        "offer_value": offer_value(offer, currency, locale),
        "offer_min_spend": money(offer.min_spend, currency, locale),
        "offer_until": day(until, locale),
    }


def _payload(
    program: Program, message: Mapping[str, Any], about: dict[str, Any], locale: str
) -> dict[str, Any]:
    name, _, rest = str(message.get("occasion") or "").partition(":")
    occasion = next((o for o in program.calendar.occasions if o.id == name), None)
    on = about.get("occasion_on") or (rest if occasion else None)
    currency = clean(about.get("currency")) or program.currency
    return {
        "order_id": clean(about.get("order_id")),
        "order_amount": money(about.get("order_amount"), currency, locale),
        "promised_on": day(about.get("promised_on"), locale),
        "days_late": number(about.get("days_late")),
        "product": clean(about.get("product_name")),
        "replace_on": day(about.get("due_on"), locale),
        "moved_on": day(about.get("moved_on"), locale),
        "ticket_id": clean(about.get("ticket_id")),
        "occasion": getattr(occasion.title, language(locale)) if occasion else None,
        "occasion_on": day(on, locale),
        "years": number(about.get("years")),
        "points": number(about.get("points")),
        "expires_on": day(about.get("expires_on"), locale),
    }


def _service(
    program: Program, about: dict[str, Any], locale: str, now: datetime | None
) -> dict[str, Any]:
    """What is said of tickets, scores and outages."""
    lang = language(locale)
    reason = REASONS.get(str(about.get("why")))
    times = {
        name: by_time(about.get(f"{name}_at"), program.zone, locale, now)
        for name in ("answer_due", "solution_due", "new_due")
    }
    clock = _title(program.sla.clocks, about.get("clock"), lang) if about.get("clock") else None
    step = next((s for s in program.sla.escalation if s.id == about.get("step")), None)
    return {
        **times,
        "escalated_to": RuleWords(program, lang).role(step.to) if step else None,
        "clock": clock,
        "why": reason[lang == "zh"] if reason else None,
        "score": _score(about, lang),
        "score_about": _scored(about, lang),
        "incident_id": _outage(about.get("incident_id"), program.zone),
    }


def _outage(name: Any, zone: str) -> str | None:
    """An outage is called by the time it began, in UTC; people read it in the program's zone."""
    try:
        return f"{datetime.fromisoformat(str(name)).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    except ValueError:
        return clean(name)


def _score(about: dict[str, Any], lang: str) -> str | None:
    score, best = number(about.get("score")), number(about.get("scale_max"))
    if score is None:
        return None
    if best is None:
        return f"{score} 分" if lang == "zh" else score
    return f"{score} 分（满分 {best} 分）" if lang == "zh" else f"{score} of {best}"


def _scored(about: dict[str, Any], lang: str) -> str | None:
    for key, zh, en in (("ticket_id", "工单", "ticket"), ("order_id", "订单", "order")):
        if found := clean(about.get(key)):
            return f"{zh} {found}" if lang == "zh" else f"{en} {found}"
    return None


def example_values(program: Program, rule: Rule, channel: str, locale: str) -> dict[str, Any]:
    """The documented examples of the variables that exist for a rule, its own offer, occasion and
    tier among them; None where the rule on this channel has none."""
    lang = language(locale)
    known = {v.name: getattr(v.example, lang) for v in available(rule)}
    offer = next((o for o in program.offers if o.id == rule.offer), None)
    until = valid_until(offer, _EXAMPLE_DAY) if offer else None
    known.update(offer_values(offer, program.currency, locale, until))
    if not is_task(rule, channel):
        known.update(owner=None, due=None)
    if rule.trigger.occasion:
        wanted = rule.trigger.occasion.name
        known["occasion"] = _title(program.calendar.occasions, wanted, lang)
    if rule.trigger.entered and rule.trigger.entered.tiers and program.loyalty:
        known["tier"] = _title(program.loyalty.tiers, rule.trigger.entered.tiers[0], lang)
    if rule.purpose == "service":
        known["unsubscribe_url"] = None
    return known


# The payload of an occasion, as decisions carry it, for a preview where there is none yet.
_EXAMPLE_ABOUT: dict[str, object] = {
    "order_id": "O20261101-88",
    "order_amount": "128.5",
    "promised_on": "2026-11-05",
    "days_late": 2,
    "product": "净水滤芯 U608",
    "replace_on": "2026-11-20",
    "moved_on": "2026-11-02",
    "ticket_id": "T20261101-7",
    "answer_due_at": "2026-11-05 02:00:00",
    "solution_due_at": "2026-11-08 07:00:00",
    "new_due_at": "2026-11-05 07:00:00",
    "why": "complex",
    "score": "2",
    "scale_max": "5",
    "incident_id": "2026-11-01T02:20:00Z",
    "occasion_on": "2026-11-11",
    "years": 3,
    "points": 1200,
    "expires_on": "2026-12-31",
}


def example_about(program: Program, rule: Rule) -> dict[str, object]:
    """A payload as an occasion of the rule would have it, made up."""
    known = {v.name for v in available(rule)}
    own = {"product": "product_name", "replace_on": "due_on"}
    told = {"answer_due_at": "answer_due", "solution_due_at": "solution_due"}
    told |= {"new_due_at": "new_due", "scale_max": "score"}
    about = {
        own.get(key, key): value
        for key, value in _EXAMPLE_ABOUT.items()
        if told.get(key, key) in known
    }
    if "score_about" in known:
        about["ticket_id"] = _EXAMPLE_ABOUT["ticket_id"]
    if "clock" in known:
        solving = [clock.id for clock in program.sla.clocks if clock.stops == "solved"]
        about["clock"] = (solving or [program.sla.clocks[0].id])[0]
        about["step"] = next((s.id for s in program.sla.escalation if s.tell_customer), None)
    if rule.trigger.entered and rule.trigger.entered.tiers:
        about["tier"] = rule.trigger.entered.tiers[0]
    return {**about, "currency": program.currency} if "order_amount" in about else about


def example_occasion(rule: Rule, on: date) -> str:
    """The text that would identify such an occasion."""
    name = rule.trigger.occasion.name if rule.trigger.occasion else rule.id
    return f"{name}:{on.isoformat()}"
