"""The part of a pack about what is done for customers: churn alerts, calibration, offers."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Level,
    Mistake,
    PositiveInt,
    Role,
    Share,
    Text,
    refuse,
)
from careloop.program.conditions import Condition
from careloop.program.measures import MEASURES

Window = Literal["short", "medium", "long"]


Counted = Literal["orders", "interactions", "logins", "visits", "tickets", "complaints"]


class Signal(Closed):
    """A sign of churn, of exactly one kind: ``change``, ``silence``, ``repeated``, ``low_score``
    or ``when``. All but ``when`` are judged against the customer's own history."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="Name people read.")
    change: Literal["drop", "surge"] | None = Field(
        None, description="The sign is a daily rate falling or rising against the baseline."
    )
    silence: Literal["orders", "interactions", "logins", "visits"] | None = Field(
        None, description="The sign is a time without these that is long for this customer."
    )
    repeated: Literal["tickets", "complaints"] | None = Field(
        None, description="The sign is that many of these within the window."
    )
    low_score: Literal["csat", "nps"] | None = Field(
        None, description="The sign is a last answer as low as `at_most`."
    )
    when: Condition | None = Field(None, description="The sign is this condition.")
    count: Counted | None = Field(None, description="What is counted for a change.")
    window: Window | None = Field(
        None, description="Recent window of a change, or of what is repeated."
    )
    baseline: Window | None = Field(
        None,
        description="Longer window of a change; the part before the recent window is the baseline.",
    )
    by: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Least change as a share of the baseline: 0.5 is half, 1 is double."
    )
    min_baseline: PositiveInt | None = Field(
        None, description="Fewest counts in the baseline; below, the change says nothing."
    )
    at_least: PositiveInt | None = Field(
        None, description="Fewest of what is repeated within the window."
    )
    at_most: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="Highest low score: 0 to 1 of the scale for csat, 0 to 10 for nps."
    )
    min_events: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Fewest events before a silence says something."
    )
    min_days: PositiveInt | None = Field(
        None, description="Fewest days of a silence, and of the history before it."
    )
    max_likelihood: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Highest chance of as extreme a figure if the customer were as before; it is "
        "also the chance of a false alarm.",
    )
    expires_after_days: PositiveInt | None = Field(
        None,
        description="Days a low score stays a sign; longest silence that still is one: who is "
        "silent for longer has left.",
    )
    clears_after_days: PositiveInt | None = Field(
        None, description="Days without the sign that close its alert; as for all if left out."
    )
    points: Annotated[int, Field(ge=1, le=100)] = Field(description="Points it adds to the alert.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [kind for kind in _SIGNAL_PARTS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            refuse([Mistake((), kinds or None, "needs exactly one of these", tuple(_SIGNAL_PARTS))])
        needed, optional = _SIGNAL_PARTS[kinds[0]]
        parts = sorted({p for pair in _SIGNAL_PARTS.values() for group in pair for p in group})
        mistakes = [
            Mistake((p,), getattr(self, p), f"does not fit a signal with `{kinds[0]}`")
            for p in parts
            if getattr(self, p) is not None and p not in (*needed, *optional)
        ]
        mistakes += [
            Mistake((p,), None, f"is needed for a signal with `{kinds[0]}`")
            for p in needed
            if getattr(self, p) is None
        ]
        refuse(mistakes)
        refuse([*self._window_mistakes(), *self._limit_mistakes()])
        return self

    def _window_mistakes(self) -> list[Mistake]:
        counted = self.count or self.repeated
        if counted is None:
            return []
        order = ("short", "medium", "long")
        known = tuple(w for w in order if f"{counted}_{w}" in MEASURES)
        mistakes = [
            Mistake((key,), value, f"is not a window {counted} are counted in", known)
            for key in ("window", "baseline")
            if (value := getattr(self, key)) is not None and value not in known
        ]
        if self.baseline and order.index(self.baseline) <= order.index(self.window):
            longer = order[order.index(self.window) + 1 :]
            mistakes.append(
                Mistake(("baseline",), self.baseline, "must be longer than window", longer)
            )
        return mistakes

    def _limit_mistakes(self) -> list[Mistake]:
        mistakes = []
        if self.change == "drop" and self.by > 1:
            mistakes.append(Mistake(("by",), self.by, "must be at most 1 for a drop"))
        if self.low_score == "csat" and self.at_most > 1:
            mistakes.append(Mistake(("at_most",), self.at_most, "must be at most 1 for csat"))
        if self.silence and (self.expires_after_days or self.min_days) < self.min_days:
            mistakes.append(
                Mistake(("expires_after_days",), self.expires_after_days, "is before min_days")
            )
        return mistakes


# Keys that each kind of signal needs, and those it may have.
_SIGNAL_PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "change": (("count", "window", "baseline", "by", "min_baseline", "max_likelihood"), ()),
    "silence": (("min_events", "min_days", "max_likelihood"), ("expires_after_days",)),
    "repeated": (("window", "at_least"), ()),
    "low_score": (("at_most", "expires_after_days"), ()),
    "when": ((), ()),
}


class AlertLevel(Closed):
    """What happens from so many points on."""

    level: Level = Field(description="Name of the level.")
    min_points: PositiveInt = Field(description="Fewest points of signals.")
    action: Literal["care_message", "win_back_plan"] = Field(
        description="care_message is sent by the system; a win_back_plan is made by a person."
    )
    owner: Role = Field(description="Who acts.")
    notify: Role | None = Field(None, description="Who is told.")
    act_within: Duration = Field(description="Time to act from the alert.")
    offer: Id | None = Field(None, description="Offer that may be made.")


class WinBackTest(Closed):
    """Randomised test of win-back, by which the accuracy of the levels is judged."""

    control_share: Share = Field(description="Share of alerted customers left alone.")
    evaluate_every: Duration = Field(description="How often the result is evaluated.")
    measured_after: Duration = Field(description="When a return counts as won back.")


class Churn(Closed):
    """Churn alerts. An alert opens when its sign is first seen; it is closed by rule."""

    interval: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        description="Share of cases the expected range is to hold, e.g. 0.9."
    )
    clears_after_days: PositiveInt = Field(
        description="Days without its sign that close an alert; a later sign opens a new one."
    )
    keep_closed_days: PositiveInt = Field(description="Days a closed alert stays in the table.")
    signals: list[Signal] = Field(description="Signs of churn, each with points.")
    levels: Annotated[list[AlertLevel], Field(min_length=1)] = Field(
        description="Levels of churn risk by the points of a customer's open alerts, from the "
        "lowest up."
    )
    order_by: Literal["value", "points"] = Field(description="Which alerts come first.")
    test: WinBackTest | None = Field(None, description="Randomised test of win-back.")

    @model_validator(mode="after")
    def _growing(self) -> Self:
        points = [level.min_points for level in self.levels]
        if points != sorted(set(points)):
            refuse([Mistake(("levels",), points, "min_points must grow from level to level")])
        names = [level.level for level in self.levels]
        if len(names) != len(set(names)):
            refuse([Mistake(("levels",), names, "each level may be there once")])
        return self


class Calibration(Closed):
    """The regular review of thresholds, tiers and resources. It proposes, and changes nothing."""

    every: Duration = Field(description="How often.")
    max_threshold_change: Share = Field(
        description="Largest change of a threshold, target or limit proposed at once, as a share."
    )
    share_tolerance: Share = Field(
        description="Difference of actual and expected segment share that is explained; days "
        "without purchase or activity this share off the criterion are left alone, too."
    )
    min_cases: PositiveInt = Field(
        description="Fewest customers, returns, messages or cases a proposal rests on."
    )
    dormant_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of returning customers who are back before a customer counts as dormant."
    )
    lost_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Share of returning customers who are back before a customer counts as lost."
    )
    recluster: bool = Field(description="Compare the segments with clusters found in the data.")
    clusters: Annotated[int, Field(ge=2, le=12)] = Field(description="Clusters tried at most.")
    max_sampled_customers: PositiveInt = Field(
        description="Most customers who are clustered, and whose returns are looked at."
    )
    max_drift: Annotated[float, Field(gt=0)] = Field(
        description="Population stability index of the segments above which they have shifted; "
        "0.1 is usually called slight, 0.25 large."
    )
    min_uplift: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Least gain in conversions that makes a rule worth while, as a share of the "
        "customers: a rule whose interval ends below it has no use."
    )
    max_fatigue: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Largest share of messages that may make people unsubscribe or complain."
    )
    always_met: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of cases within a service target from which it is always met."
    )
    seldom_met: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="Share of cases within a service target up to which it is never met."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        mistakes = [
            Mistake((high,), getattr(self, high), f"must be above {low} ({getattr(self, low):g})")
            for low, high in (("dormant_share", "lost_share"), ("seldom_met", "always_met"))
            if getattr(self, high) <= getattr(self, low)
        ]
        refuse(mistakes)
        return self


class Offer(Closed):
    """A benefit a care rule may give."""

    id: Id = Field(description="Name in rules.")
    title: Text = Field(description="Name people read.")
    kind: Literal["discount_share", "amount", "gift", "points", "service"] = Field(
        description="What is given."
    )
    value: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Share of the price (0.2 is 20 % off), amount or points."
    )
    min_spend: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Least spend for it, in the program's currency."
    )
    valid: Duration = Field(description="How long it can be used.")
    segments: list[Id] = Field(default=[], description="Segments it is for; all if empty.")
    stages: list[Id] = Field(default=[], description="Stages it is for; all if empty.")
    starts_on: date | None = Field(None, description="First day of a limited offer.")

    @model_validator(mode="after")
    def _value(self) -> Self:
        mistakes = []
        if (self.value is None) != (self.kind in ("gift", "service")):
            mistakes.append(
                Mistake(("value",), self.value, "is needed unless the kind is gift or service")
            )
        elif self.kind == "discount_share" and self.value > 1:
            mistakes.append(Mistake(("value",), self.value, "must be a share: 0.2 is 20 % off"))
        refuse(mistakes)
        return self
