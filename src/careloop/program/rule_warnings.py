"""What is allowed in rules and yet looks wrong: rules that can never come up, or that say
something else than the rest of the pack."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta

from careloop.program.base import duration_seconds
from careloop.program.calendar import occasion_days
from careloop.program.channels import SPOKEN
from careloop.program.dates import WorkDays, day_after
from careloop.program.model import Program
from careloop.program.rule_tables import DEFAULT_EXPIRY
from careloop.program.rules import Rule

YEARS_AHEAD = 3


def rule_warnings(program: Program, today: date) -> list[tuple[str, str]]:
    """Rule (or what else it is about) and sentence, for the active rules as of ``today``."""
    active = [rule for rule in program.rules if rule.active]
    found = [
        (rule.id, text)
        for rule in active
        for check in _CHECKS
        for text in check(rule, program, today)
    ]
    return found + list(_missing(active, program))


def _never(rule: Rule, program: Program, today: date) -> Iterator[str]:
    event = rule.trigger.event.name if rule.trigger.event else None
    if rule.ends_on and rule.ends_on < today:
        yield f"ended on {rule.ends_on}: it never comes up again"
    if rule.about == "next_product" and program.next_product is None:
        yield "is about the next product, which this pack does not work out: it never comes up"
    if event == "replacement_due" and program.next_product is None:
        yield "follows replacement_due, which needs next_product: it never comes up"
    if event == "points_expiring" and (program.loyalty is None or program.loyalty.points is None):
        yield "follows points_expiring, but this pack has no points: it never comes up"


def _days(rule: Rule, program: Program, today: date) -> Iterator[str]:
    """An occasion without days to come, or whose days are all free where only working days do."""
    trigger = rule.trigger.occasion
    if trigger is None:
        return
    last = date(min(today.year + YEARS_AHEAD, 2099), 12, 31)
    days = [
        day
        for year in range(today.year, last.year + 1)
        for day, occasion in occasion_days(program.calendar, year)
        if occasion.id == trigger.name and day >= today
    ]
    if not days:
        yield f"no day of {trigger.name} is left: put new ones into calendar.occasions"
    if rule.purpose in program.quiet_hours.exempt_purposes or not _working_days_only(rule, program):
        return
    work = WorkDays(program.calendar)
    for day in days:
        first = day - timedelta(days=trigger.days_before)
        end = day_after(first, _whole_days(rule.expires_after or DEFAULT_EXPIRY), work)
        span = range((end - first).days + 1)
        if not any(work.day(first + timedelta(days=n)).is_workday for n in span):
            yield (
                f"{first} to {end} has no working day, and its channels are used on "
                "working days only: it will expire"
            )


def _working_days_only(rule: Rule, program: Program) -> bool:
    return set(rule.channels) <= set(program.quiet_hours.working_days_only)


def _whole_days(duration: str) -> str:
    seconds = duration_seconds(duration)
    return duration if seconds is None else f"{max(1, seconds // 86400)}d"


def _offer(rule: Rule, program: Program, today: date) -> Iterator[str]:  # noqa: ARG001
    offer = next((offer for offer in program.offers if offer.id == rule.offer), None)
    if offer is None:
        return
    entered = rule.trigger.entered
    for kind in ("segments", "stages"):
        allowed = set(getattr(offer, kind))
        given = set(getattr(rule.audience, kind)) or set(getattr(entered, kind, []) or [])
        if allowed and not given:
            yield f"the offer {offer.id} is for {kind} {_names(allowed)}, the rule for any"
        elif allowed and given - allowed:
            yield f"the offer {offer.id} is not for {kind} {_names(given - allowed)}"


def _alert_levels(rule: Rule, program: Program, today: date) -> Iterator[str]:  # noqa: ARG001
    if rule.trigger.entered is None:
        return
    for level in program.churn.levels:
        if level.level not in rule.trigger.entered.alert_levels:
            continue
        if level.owner != rule.who:
            yield f"done by {rule.who}, but churn.levels names {level.owner} for {level.level}"
        if level.owner != "automatic" and level.act_within != rule.act_within:
            yield (
                f"within {rule.act_within}, but churn.levels says {level.act_within} "
                f"for {level.level}"
            )


def _without_effect(rule: Rule, program: Program, today: date) -> Iterator[str]:  # noqa: ARG001
    if rule.holdout and rule.purpose in program.holdout.exempt_purposes:
        yield f"its holdout has no effect: {rule.purpose} is in holdout.exempt_purposes"
    if rule.act_within and rule.who == "automatic" and not set(rule.channels) & set(SPOKEN):
        yield "act_within has no effect: nobody has to act"
    groups = {group for cap in program.caps.limits for group in cap.groups}
    if rule.cap_group and rule.cap_group not in groups:
        yield f"no cap names its cap_group {rule.cap_group}"


def _missing(active: list[Rule], program: Program) -> Iterator[tuple[str, str]]:
    """What other parts of the pack promise and no rule does."""
    events = {rule.trigger.event.name for rule in active if rule.trigger.event}
    for status in program.late_delivery.status_messages:
        if f"order_{status}" not in events:
            yield (
                "late_delivery.status_messages",
                f"names {status}, but no rule follows order_{status}",
            )
    offers = {
        rule.trigger.event.name: rule.offer for rule in active if rule.trigger.event is not None
    }
    for event, key in (("delivery_late", "late_offer"), ("delivery_lost", "lost_offer")):
        offer = getattr(program.late_delivery, key)
        if event in offers and offer != offers[event]:
            yield f"late_delivery.{key}", f"is {offer}, but the rule gives {offers[event]}"
    used = {rule.cap_group for rule in active}
    for cap in program.caps.limits:
        for group in cap.groups:
            if group not in used:
                yield f"caps.limits.{cap.id}", f"counts the cap group {group}, which no rule has"


def _names(values: set[str]) -> str:
    return ", ".join(sorted(values))


_CHECKS: tuple[Callable[[Rule, Program, date], Iterator[str]], ...] = (
    _never,
    _days,
    _offer,
    _alert_levels,
    _without_effect,
)
