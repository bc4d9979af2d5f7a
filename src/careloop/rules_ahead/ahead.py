"""What comes up for one customer in the coming days, by rule. Pure functions of the facts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from careloop.program.calendar import occasion_days
from careloop.program.dates import (
    Window,
    WorkDays,
    anniversaries,
    day_before,
    day_window,
    end_of,
    event_window,
    local_of,
    moment_after,
    start_of,
    turn_start,
    turns,
)
from careloop.program.model import Program
from careloop.program.rule_tables import DEFAULT_EXPIRY
from careloop.program.rules import EventTrigger, Rule
from careloop.rules_ahead.facts import ANNIVERSARIES, Facts, holds

_SOLVED = ("resolved_at", "closed_at")


@dataclass(frozen=True)
class Happening:
    """Something that happened or will. at: UTC. order: the order it is about. if_not: what must
    not happen before: ordered, delivered, interacted, moved. ticket: the ticket it is about."""

    id: str
    at: datetime
    order: dict[str, Any] | None = None
    if_not: str | None = None
    ticket: dict[str, Any] | None = None


@dataclass(frozen=True)
class Coming:
    """An occasion of a rule. first_on, last_on: local days on which it may be done. fits: whether
    the audience fits today; None if it can't be said. why_not: the first part that doesn't.
    if_not: what must not happen before: ordered, delivered, interacted."""

    rule: str
    occasion: str
    came_up_on: date
    first_on: date
    last_on: date
    fits: bool | None
    why_not: str | None
    if_not: str | None = None


def coming(program: Program, facts: Facts, days: int) -> list[Coming]:
    """What comes up from the published day on for ``days`` days, by day and priority. What nobody
    can foresee – entering a segment, a condition – is left out: see ``unforeseen``."""
    work = WorkDays(program.calendar)
    last = facts.as_of_on + timedelta(days=days)
    found = []
    for rule in program.rules:
        if not rule.active:
            continue
        fits, why_not = audience_fits(rule, facts)
        for occasion, window, if_not in _windows(rule, program, facts, last, work):
            first_on = max(window.came_up_on, facts.as_of_on)
            last_on = local_of(window.expires - timedelta(seconds=1), program.zone).date()
            if first_on > last or window.expires <= facts.as_of or _out_of_use(rule, first_on):
                continue
            found.append(
                Coming(
                    rule.id, occasion, window.came_up_on, first_on, last_on, fits, why_not, if_not
                )
            )
    priority = {rule.id: rule.priority for rule in program.rules}
    return sorted(found, key=lambda c: (c.first_on, -priority[c.rule], c.rule, c.occasion))


def unforeseen(program: Program) -> list[Rule]:
    """Active rules that wait for a change of the customer."""
    kinds = ("entered", "condition")
    return [rule for rule in program.rules if rule.active and rule.trigger.kind in kinds]


def audience_fits(rule: Rule, facts: Facts) -> tuple[bool | None, str | None]:
    """Whether the rule is for this customer as of the published day, and what doesn't fit."""
    profile, audience = facts.profile, rule.audience
    single = {
        "segments": profile.get("segment"),
        "stages": profile.get("stage"),
        "tiers": profile.get("tier"),
        "alert_levels": profile.get("churn_level"),
        "channels": profile.get("preferred_channel"),
    }
    for kind, value in single.items():
        wanted = getattr(audience, kind)
        if wanted and value not in wanted:
            return False, kind
    for tag in audience.tags:
        name, _, value = tag.partition("=")
        if not facts.tags.get(name) or (value and value not in facts.tags[name]):
            return False, "tags"
    if rule.about == "next_product" and not facts.next_products:
        return False, "about"
    if audience.when is not None:
        state = holds(facts, audience.when)
        return state, None if state else "when"
    return True, None


def _out_of_use(rule: Rule, day: date) -> bool:
    return bool((rule.starts_on and day < rule.starts_on) or (rule.ends_on and day > rule.ends_on))


def _windows(
    rule: Rule, program: Program, facts: Facts, last: date, work: WorkDays
) -> Iterator[tuple[str, Window, str | None]]:
    """Occasion, window and what may call it off, of everything that could overlap the days."""
    trigger = rule.trigger
    if trigger.event:
        yield from _after_events(trigger.event, program, facts, work)
        return
    for occasion, came_up_on in _days(rule, program, facts, last):
        after = rule.expires_after or DEFAULT_EXPIRY
        yield occasion, day_window(came_up_on, after, program.zone, work), None


def _days(rule: Rule, program: Program, facts: Facts, last: date) -> Iterator[tuple[str, date]]:
    """Occasions that come up on a day; those of the days before may not have expired yet."""
    trigger = rule.trigger
    first = facts.as_of_on - timedelta(days=366)
    if trigger.anniversary:
        of = _date_of(trigger.anniversary.of, program, facts)
        before = timedelta(days=trigger.anniversary.days_before)
        any_year = trigger.anniversary.of == "birthday"
        days = anniversaries(of, first, last + before, any_year=any_year) if of else ()
        for day, _ in days:
            yield f"{trigger.anniversary.of}:{day.year}", day - before
    elif trigger.occasion:
        before = timedelta(days=trigger.occasion.days_before)
        for year in range(first.year, (last + before).year + 1):
            for day, occasion in occasion_days(program.calendar, year):
                if occasion.id == trigger.occasion.name:
                    yield f"{occasion.id}:{day}", day - before
    elif trigger.cadence:
        every = trigger.cadence.every
        # A turn ends the one before it, however long that would have lasted.
        now = turn_start(rule.id, facts.customer_id, every, facts.as_of_on)
        for start in turns(rule.id, facts.customer_id, every, now, last):
            yield f"turn:{start}", start


def _date_of(anniversary: str, program: Program, facts: Facts) -> date | None:
    """The local day an anniversary is of."""
    if anniversary == "first_purchase":
        counted = _counted(facts)
        return (
            local_of(min(o["ordered_at"] for o in counted), program.zone).date()
            if counted
            else None
        )
    value = facts.customer.get(ANNIVERSARIES[anniversary])
    return local_of(value, program.zone).date() if isinstance(value, datetime) else value


def _counted(facts: Facts) -> list[dict[str, Any]]:
    return [o for o in facts.orders if o["status"] not in ("cancelled", "returned")]


def _after_events(
    event: EventTrigger, program: Program, facts: Facts, work: WorkDays
) -> Iterator[tuple[str, Window, str | None]]:
    for happening in _happenings(event.name, program, facts):
        called_off = any(_called_off(name, happening, facts) for name in event.unless)
        if not called_off and _narrowed(event, happening):
            window = event_window(happening.at, event.after, event.until, program.zone, work)
            yield happening.id, window, happening.if_not


def _narrowed(event: EventTrigger, happening: Happening) -> bool:
    """Whether the rule is for such tickets."""
    columns = {"kinds": "kind", "urgencies": "urgency", "touchpoints": "touchpoint"}
    ticket = happening.ticket or {}
    return all(ticket.get(columns[name]) in given for name, given in event.filters.items())


def _called_off(unless: str, happening: Happening, facts: Facts) -> bool:
    """Whether what calls a follow-up off is so already."""
    order = happening.order or {}
    since = happening.at
    if unless == "returned":
        return order.get("status") in ("cancelled", "returned")
    if unless == "delivered":
        return order.get("delivered_at") is not None
    if unless == "advanced":
        return any(order.get(time) is not None for time in ("shipped_at", "delivered_at"))
    if unless == "ticket_answered":
        answered = ("acknowledged_at", "first_response_at", *_SOLVED)
        return any((happening.ticket or {}).get(time) is not None for time in answered)
    if unless == "ticket_open":
        return any(t["opened_at"] and not any(t[c] for c in _SOLVED) for t in facts.tickets)
    if unless == "ordered":
        return any(o["ordered_at"] > since for o in _counted(facts))
    if unless == "contacted":
        return any(f["done_at"] and f["done_at"] > since for f in facts.follow_ups)
    return any(s["answered_at"] and s["answered_at"] > since for s in facts.surveys)


def _happenings(name: str, program: Program, facts: Facts) -> Iterator[Happening]:
    """Everything of one kind that happened, and what is known to come."""
    if name == "registered":
        if facts.customer.get("registered_at"):
            yield Happening("registered", facts.customer["registered_at"])
    elif name in ("first_order", "last_order"):
        yield from _first_or_last(name, facts)
    elif name == "last_interaction":
        if facts.interactions:
            at = max(row["occurred_at"] for row in facts.interactions)
            day = local_of(at, program.zone).date()
            yield Happening(f"last_interaction:{day}", at, None, "interacted")
    elif name in _ORDER_TIMES:
        for order in facts.orders:
            at = next((order[time] for time in _ORDER_TIMES[name] if order[time]), None)
            if at and _in_state(name, order["status"]):
                yield Happening(f"{name}:{order['order_id']}", at, order)
    elif name in ("delivery_late", "delivery_lost"):
        yield from _deliveries(name, program, facts)
    elif name == "cart_abandoned":
        carts = [row for row in facts.interactions if row["kind"] == "cart_abandon"]
        for row in sorted(carts, key=lambda row: (row["occurred_at"], row["interaction_id"]))[-1:]:
            yield Happening(f"{name}:{row['interaction_id']}", row["occurred_at"])
    elif name in ("ticket_opened", "ticket_solved"):
        yield from _tickets(name, program, facts)
    elif name == "delivery_stalled":
        yield from _stalls(program, facts)
    else:
        yield from _of_marts(name, program, facts)


def _tickets(name: str, program: Program, facts: Facts) -> Iterator[Happening]:
    for ticket in facts.tickets:
        if name == "ticket_opened":
            yield Happening(f"{name}:{ticket['ticket_id']}", ticket["opened_at"], ticket=ticket)
        elif ticket["resolved_at"]:
            at = ticket["resolved_at"]
            day = local_of(at, program.zone).date()
            yield Happening(f"{name}:{ticket['ticket_id']}:{day}", at, ticket=ticket)


# The first that is known.
_ORDER_TIMES = {
    "order_paid": ("paid_at",),
    "order_preparing": ("updated_at", "paid_at"),
    "order_shipped": ("shipped_at",),
    "order_delivered": ("delivered_at",),
    "order_completed": ("delivered_at", "updated_at"),
}


def _first_or_last(name: str, facts: Facts) -> Iterator[Happening]:
    """The first order that was not cancelled, though it may have come back; the last that counts:
    neither cancelled nor returned."""
    off = ("cancelled",) if name == "first_order" else ("cancelled", "returned")
    orders = [order for order in facts.orders if order["status"] not in off]
    if orders:
        pick = min if name == "first_order" else max
        order = pick(orders, key=lambda order: (order["ordered_at"], order["order_id"]))
        if_not = "ordered" if name == "last_order" else None
        yield Happening(f"{name}:{order['order_id']}", order["ordered_at"], order, if_not)


def _in_state(name: str, status: str | None) -> bool:
    """Preparing and completed have no time of their own, so the order must be in that state."""
    wanted = {"order_preparing": "preparing", "order_completed": "completed"}.get(name)
    return wanted is None or status == wanted


def _deliveries(name: str, program: Program, facts: Facts) -> Iterator[Happening]:
    """Orders that are late, or will be if they do not arrive: some time after the promise, which
    is the end of a day counted from shipping where none was made; lost some time after it."""
    rules = program.late_delivery
    past = rules.late_after if name == "delivery_late" else rules.lost_after
    for order in _counted(facts):
        promised = order["promised_at"]
        if promised is None and order["shipped_at"]:
            shipped_on = local_of(order["shipped_at"], program.zone).date()
            promised = end_of(shipped_on + timedelta(days=rules.promise_days), program.zone)
        if promised is None or order["status"] == "pending":
            continue
        at = moment_after(promised, past) if past else promised
        done = order["delivered_at"] or (
            facts.as_of if order["status"] in ("delivered", "completed") else None
        )
        if done is None or done > at:
            if_not = "delivered" if at > facts.as_of else None
            yield Happening(f"{name}:{order['order_id']}", at, order, if_not)


def _stalls(program: Program, facts: Facts) -> Iterator[Happening]:
    """Orders that have stalled, or will if nothing changes, before they are late."""
    for order in _counted(facts):
        times = [order[name] for name in ("paid_at", "shipped_at", "updated_at") if order[name]]
        if order["status"] not in ("paid", "preparing", "shipped") or not times:
            continue
        at = moment_after(max(times), program.late_delivery.no_movement_after)
        promised = order["promised_at"]
        if promised is None or promised > max(at, facts.as_of):
            if_not = "moved" if at > facts.as_of else None
            yield Happening(f"delivery_stalled:{order['order_id']}", at, order, if_not)


def _of_marts(name: str, program: Program, facts: Facts) -> Iterator[Happening]:
    loyalty = program.loyalty
    if name == "points_expiring" and loyalty and loyalty.points:
        expires_on = facts.profile.get("points_next_expiry_on")
        if expires_on and facts.profile.get("points_expiring"):
            within = loyalty.points.expiring_within
            first = day_before(expires_on, within) + timedelta(days=1)
            yield Happening(f"{name}:{expires_on}", start_of(first, program.zone))
    elif name == "replacement_due" and program.next_product:
        remind = timedelta(days=program.next_product.replacement.remind_days_before)
        for row in facts.replacements:
            at = start_of(row["due_on"] - remind, program.zone)
            yield Happening(f"{name}:{row['product_id']}:{row['due_on']}", at, None, "ordered")
    elif name == "referral_converted":
        for row in facts.referrals:
            if row["converted_at"]:
                yield Happening(f"{name}:{row['referral_id']}", row["converted_at"])
