"""Care rules: when something is due to a customer, to whom, how, and what may stop it.

A rule has one trigger of a small closed set. Each time the trigger finds a customer there is an
occasion; customer, rule and occasion together are decided at most once.
"""

import hashlib
import json
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Channel,
    Closed,
    Duration,
    Id,
    Level,
    Line,
    Mistake,
    Purpose,
    Role,
    Text,
    Urgency,
    refuse,
    rough_days,
    split_duration,
)
from careloop.program.conditions import Condition
from careloop.program.contact import DayDuration

Event = Literal[
    "registered",
    "first_order",
    "last_order",
    "last_interaction",
    "order_paid",
    "order_preparing",
    "order_shipped",
    "order_delivered",
    "order_completed",
    "delivery_late",
    "delivery_lost",
    "delivery_stalled",
    "cart_abandoned",
    "ticket_opened",
    "ticket_overdue",
    "ticket_solved",
    "low_score",
    "incident",
    "points_expiring",
    "replacement_due",
    "referral_converted",
]
# Those of one ticket, which a rule may narrow down to some kinds, urgencies or touchpoints.
TICKET_EVENTS = ("ticket_opened", "ticket_overdue", "ticket_solved")
TICKET_FILTERS = ("kinds", "urgencies", "touchpoints")
Unless = Literal[
    "returned",
    "delivered",
    "advanced",
    "ticket_open",
    "ticket_answered",
    "ordered",
    "contacted",
    "answered",
]
DAYS_BEFORE = Annotated[int, Field(ge=0, le=60)]


class Anniversary(Closed):
    """The same day of each later year; 29 February is kept on 28 February of other years."""

    of: Literal[
        "birthday", "registration", "first_purchase", "membership", "company", "cooperation"
    ] = Field(description="What is remembered.")
    days_before: DAYS_BEFORE = Field(0, description="Days before the day itself.")


class OccasionDay(Closed):
    """A festival or business date of the pack's calendar."""

    name: Id = Field(description="The occasion's id in calendar.occasions.")
    days_before: DAYS_BEFORE = Field(0, description="Days before the day itself.")


class EventTrigger(Closed):
    """Something that happened, after a delay and within a window."""

    name: Event = Field(description="What happened.")
    after: Duration | None = Field(
        None, description="Earliest after the event; at once if left out."
    )
    until: Duration = Field(description="Latest after the event; later it has expired.")
    unless: list[Unless] = Field(
        default=[],
        description="What calls it off: the order was `returned` or cancelled, `delivered`, or has "
        "`advanced` to a later state than the event's; a ticket is open (`ticket_open`); the "
        "event's ticket was confirmed, answered by a person or solved (`ticket_answered`); since "
        "the event the customer `ordered`, was `contacted` by a person, or `answered` a survey.",
    )
    kinds: list[Id] = Field(
        default=[],
        description="Only tickets of these kinds, e.g. complaint; of a low_score the kinds of "
        "survey, e.g. csat.",
    )
    urgencies: list[Urgency] = Field(
        default=[], description="Only tickets of these urgencies; for ticket events."
    )
    touchpoints: list[Id] = Field(
        default=[], description="Only tickets from these touchpoints; for ticket events."
    )

    @model_validator(mode="after")
    def _window(self) -> Self:
        mistakes = []
        if self.after and rough_days(self.until) < rough_days(self.after):
            mistakes.append(Mistake(("until",), self.until, f"is before `after` ({self.after})"))
        fitting = {"low_score": ("kinds",)}.get(self.name, ())
        if self.name in TICKET_EVENTS:
            fitting = TICKET_FILTERS
        mistakes += [
            Mistake((name,), given, f"does not fit {self.name}")
            for name, given in self.filters.items()
            if name not in fitting
        ]
        refuse(mistakes)
        return self

    @property
    def filters(self) -> dict[str, list[str]]:
        """The filters on tickets that are given."""
        return {name: given for name in TICKET_FILTERS if (given := getattr(self, name))}


class Entered(Closed):
    """The customer has just come into one of these; exactly one list."""

    segments: list[Id] = Field(default=[], description="Segments.")
    stages: list[Id] = Field(default=[], description="Lifecycle stages.")
    tiers: list[Id] = Field(default=[], description="Loyalty tiers.")
    alert_levels: list[Level] = Field(default=[], description="Levels of churn alerts.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name)]
        if len(given) != 1:
            refuse(
                [
                    Mistake(
                        (),
                        given or None,
                        "needs exactly one of these",
                        tuple(type(self).model_fields),
                    )
                ]
            )
        return self


class EveryTime(Closed):
    """Regular contact. Each customer's turns are spread over the time by the customer's id."""

    every: DayDuration = Field(
        description="Once in this time: days, weeks, months, quarters, years."
    )


class WhileTrue(Closed):
    """A condition on the customer's measures holds."""

    when: Condition = Field(description="The condition.")
    again_after: DayDuration | None = Field(
        None, description="May come up again after this time; only once ever if left out."
    )


class Trigger(Closed):
    """When a rule comes up: exactly one of these."""

    anniversary: Anniversary | None = Field(None, description="The anniversary of a date.")
    occasion: OccasionDay | None = Field(None, description="A festival or business date.")
    event: EventTrigger | None = Field(None, description="After something happened.")
    entered: Entered | None = Field(None, description="On entering a segment, stage, tier, level.")
    cadence: EveryTime | None = Field(None, description="Regularly.")
    condition: WhileTrue | None = Field(None, description="While a condition holds.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        kinds = tuple(type(self).model_fields)
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            refuse([Mistake((), given or None, "needs exactly one of these", kinds)])
        return self

    @property
    def kind(self) -> str:
        """Which of the six it is."""
        return next(k for k in type(self).model_fields if getattr(self, k) is not None)


class Audience(Closed):
    """Whom a rule is for: every part that is given must fit; an empty one means any."""

    segments: list[Id] = Field(default=[], description="Segments.")
    stages: list[Id] = Field(default=[], description="Lifecycle stages.")
    tiers: list[Id] = Field(default=[], description="Loyalty tiers.")
    tags: list[Line] = Field(default=[], description="Tags the customer has: `tag` or `tag=value`.")
    channels: list[Channel] = Field(default=[], description="Preferred channels.")
    alert_levels: list[Level] = Field(default=[], description="Levels of churn alerts.")
    when: Condition | None = Field(None, description="A condition on measures.")


class Conversion(Closed):
    """What the customer is hoped to do, and by when it counts."""

    event: Literal["order", "interaction", "survey_answer", "login", "visit"] = Field(
        description="What counts."
    )
    within: Duration = Field(description="Time from the decision.")

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        if split_duration(self.within)[1] == "wd":
            allowed = ("m", "h", "d", "w", "mo", "q", "y")
            mistake = Mistake(("within",), self.within, "must not be in working days", allowed)
            refuse([mistake])
        return self


class Rule(Closed):
    """One care rule."""

    id: Id = Field(description="Name in decisions and the ledger.")
    title: Text = Field(description="Name people read.")
    active: bool = Field(True, description="False rests the rule.")
    phase: Literal["pre_sale", "in_sale", "after_sale", "long_term"] = Field(
        description="Part of the customer journey."
    )
    trigger: Trigger = Field(description="When it comes up.")
    audience: Audience = Field(default=Audience(), description="Whom it is for; all if left out.")
    about: Literal["next_product"] | None = Field(
        None, description="Only for customers for whom there is a product to recommend."
    )
    purpose: Purpose = Field(description="What for: decides consent, caps and quiet hours.")
    channels: Annotated[list[Channel], Field(min_length=1)] = Field(
        description="Channels in order of preference; the customer's own preferred one goes first."
    )
    template: Id = Field(description="Message, or what a person is to say: messages/<template>.…")
    offer: Id | None = Field(None, description="Offer that goes with it.")
    who: Role = Field("automatic", description="Who does it; a person gets a task.")
    act_within: Duration | None = Field(
        None, description="Time in which a person does the task; until it expires if left out."
    )
    priority: Annotated[int, Field(ge=0, le=100)] = Field(
        50, description="Where caps leave room for few, the highest goes first."
    )
    cap_group: Id | None = Field(None, description="Group that a cap may name.")
    cooldown: DayDuration | None = Field(
        None,
        description="Least time after the rule's last contact with the customer, in whole days.",
    )
    holdout: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0, description="Share left alone by this rule, beside the program's."
    )
    expires_after: Duration | None = Field(
        None,
        description="How long it is worth doing, from the day it came up: `1d`, if left out, is "
        "that day only. An event's window ends with its `until`.",
    )
    conversion: Conversion | None = Field(None, description="How its success is measured.")
    starts_on: date | None = Field(None, description="First day it is used.")
    ends_on: date | None = Field(None, description="Last day it is used.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        mistakes = []
        if self.trigger.event and self.expires_after:
            mistakes.append(
                Mistake(
                    ("expires_after",), self.expires_after, "does not fit an event: use `until`"
                )
            )
        if self.starts_on and self.ends_on and self.ends_on < self.starts_on:
            mistakes.append(Mistake(("ends_on",), str(self.ends_on), "is before starts_on"))
        refuse(mistakes)
        return self

    @property
    def version(self) -> str:
        """8 hex digits over everything the rule says."""
        data = self.model_dump(mode="json", by_alias=True)
        body = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()[:8]


class Rules(Closed):
    """The file ``rules.yml`` of a pack."""

    rules: list[Rule] = Field(description="The care rules; the order has no meaning.")
