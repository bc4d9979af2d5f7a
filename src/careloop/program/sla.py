"""The part of a pack about service promises: clocks, escalation, alerts to the team."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Mistake,
    PositiveInt,
    Role,
    Share,
    Text,
    TimeOfDay,
    Urgency,
    refuse,
    repeated,
    split_duration,
)

# What can stop a clock, by what starts it.
_TICKET_STOPS = ("automatic_answer", "acknowledged", "first_response", "solved", "closed")
STOPS = {
    "ticket_opened": _TICKET_STOPS,
    "handed_over": _TICKET_STOPS,
    "ticket_solved": ("result_told", "customer_called_back", "survey_asked"),
    "order_completed": ("survey_asked",),
    "first_deal": ("customer_called",),
    "churn_alert": ("customer_called",),
    "incident": ("group_started",),
}
CASE_STARTS = ("order_completed", "first_deal", "churn_alert", "incident")
# Units of targets: working time has no weeks, and a month has no fixed number of seconds.
CLOCK_UNITS = {"calendar": ("s", "m", "h", "d", "w"), "business": ("s", "m", "h", "wd")}


class Clock(Closed):
    """A service promise: how long something may take. Of the clocks with the same start and stop
    the first that fits holds; empty filters fit everything."""

    id: Id = Field(description="Name in tables and rules.")
    title: Text = Field(description="Name people read.")
    starts: Literal[
        "ticket_opened",
        "handed_over",
        "ticket_solved",
        "order_completed",
        "first_deal",
        "churn_alert",
        "incident",
    ] = Field(description="What starts the clock.")
    stops: Literal[
        "automatic_answer",
        "acknowledged",
        "first_response",
        "solved",
        "closed",
        "result_told",
        "customer_called_back",
        "survey_asked",
        "customer_called",
        "group_started",
    ] = Field(description="What stops it.")
    kinds: list[Id] = Field(default=[], description="Ticket kinds, e.g. complaint.")
    urgencies: list[Urgency] = Field(default=[], description="Ticket urgencies.")
    channels: list[Id] = Field(
        default=[], description="Channels the ticket came in on, e.g. those that answer at once."
    )
    touchpoints: list[Id] = Field(default=[], description="Touchpoints of the pack.")
    segments: list[Id] = Field(default=[], description="Segments of the pack.")
    stages: list[Id] = Field(default=[], description="Stages of the pack.")
    tiers: list[Id] = Field(default=[], description="Loyalty tiers of the pack.")
    complex: bool | None = Field(None, description="Only complex tickets, or only simple ones.")
    target: Duration = Field(description="Longest it may take.")
    clock: Literal["calendar", "business"] = Field(
        description="calendar runs always, business only in working hours."
    )
    pauses: list[Literal["pending", "on_hold", "solved"]] = Field(
        default=[],
        description="Ticket statuses that stop the clock meanwhile; solved only for closed.",
    )
    warn_at: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.8, description="Share of the target used up when the owner is warned."
    )
    target_share: Share = Field(1.0, description="Share of cases to be within the target.")

    @model_validator(mode="after")
    def _computable(self) -> Self:
        stops, units = STOPS[self.starts], CLOCK_UNITS[self.clock]
        unit = split_duration(self.target)[1]
        mistakes = []
        if self.stops not in stops:
            problem = f"cannot stop what starts with {self.starts}"
            mistakes.append(Mistake(("stops",), self.stops, problem, stops))
        if unit == "wd" and self.clock == "calendar":
            problem = "cannot count working days"
            mistakes.append(Mistake(("clock",), self.clock, problem, ("business",)))
        elif unit not in units:
            problem = f"is not in a unit that a {self.clock} clock counts"
            mistakes.append(Mistake(("target",), self.target, problem, units))
        refuse([*mistakes, *self._pause_mistakes(unit), *self._filter_mistakes()])
        return self

    def _filter_mistakes(self) -> list[Mistake]:
        """Filters on what the thing that starts the clock has not."""
        lacking: tuple[str, ...] = ()
        if self.starts in CASE_STARTS:
            lacking = ("kinds", "urgencies", "channels", "touchpoints", "complex")
        if self.starts == "incident":
            lacking = (*lacking, "segments", "stages", "tiers")
        return [
            Mistake((name,), value, f"cannot be asked of {self.starts}")
            for name in lacking
            if (value := getattr(self, name)) not in (None, [])
        ]

    def _pause_mistakes(self, unit: str) -> list[Mistake]:
        if not self.pauses:
            return []
        if unit == "wd":
            return [Mistake(("pauses",), self.pauses, "cannot pause a target in working days")]
        if STOPS[self.starts] != _TICKET_STOPS:
            return [Mistake(("pauses",), self.pauses, f"cannot pause after {self.starts}")]
        if "solved" in self.pauses and self.stops != "closed":
            problem = "pauses only a clock that stops with closed"
            return [Mistake(("pauses", self.pauses.index("solved")), "solved", problem)]
        return []


WARNING = "warning"
REAL_TIME = ("s", "m", "h", "d", "w")


def _not_real(name: str, value: str) -> list[Mistake]:
    if split_duration(value)[1] in REAL_TIME:
        return []
    return [Mistake((name,), value, "must be in real time", REAL_TIME)]


class EscalationStep(Closed):
    """What happens when a clock runs out, and later."""

    id: Id = Field(description="Name in tables.")
    after: Duration | None = Field(None, description="Time past the target; at once if left out.")
    to: Role = Field(description="Who is told.")
    tell_customer: bool = Field(
        description="The customer is told why, with an apology and a new time: at one step only."
    )
    new_time: Duration | None = Field(
        None,
        description="The new time the customer is given, in m or h of the clock that ran out, from "
        "this step; if it lies in quiet hours, from when the customer can be told.",
    )

    @model_validator(mode="after")
    def _promised(self) -> Self:
        if self.tell_customer and self.new_time is None:
            refuse([Mistake(("new_time",), None, "is needed where the customer is told")])
        if not self.tell_customer and self.new_time is not None:
            refuse([Mistake(("new_time",), self.new_time, "needs tell_customer: true")])
        if self.new_time and split_duration(self.new_time)[1] not in ("m", "h"):
            refuse([Mistake(("new_time",), self.new_time, "is in other units", ("m", "h"))])
        return self

    @model_validator(mode="after")
    def _real_time(self) -> Self:
        mistakes = []
        if self.id == WARNING:
            mistakes.append(Mistake(("id",), self.id, "is the level before a target is missed"))
        mistakes += _not_real("after", self.after) if self.after else []
        refuse(mistakes)
        return self


class AlertLevel(Closed):
    """Who hears of a level of escalation."""

    level: Id = Field(description="warning, or a step of sla.escalation.")
    tell: Annotated[list[Literal["told", "owner", "team"]], Field(min_length=1)] = Field(
        description="told: whom it is escalated to; owner: whose case it is; team: the robot."
    )


class Alerts(Closed):
    """Messages to the team about what is due and late."""

    levels: list[AlertLevel] = Field(description="Levels that are told; others are only listed.")
    working_hours_only: bool = Field(description="Wait for working time.")
    urgent_always: bool = Field(description="Urgent cases don't wait for it.")
    digest_at: TimeOfDay | None = Field(
        None, description="Time from which, each working day, all that is open is told again."
    )
    most_rows: PositiveInt = Field(description="Cases in one message; the rest is counted.")
    backlog_after: Duration = Field(
        description="Real time. What reached its level longer ago when it is first seen is "
        "backlog: counted per owner, not told case by case."
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        mistakes = _not_real("backlog_after", self.backlog_after)
        mistakes += [
            Mistake(("levels", i, "level"), item.level, "stands there twice")
            for i, item in enumerate(self.levels)
            if item.level in [other.level for other in self.levels[:i]]
        ]
        for i, item in enumerate(self.levels):
            again = repeated(item.tell)
            mistakes += [Mistake(("levels", i, "tell", at), item.tell[at], "twice") for at in again]
        refuse(mistakes)
        return self


class Correction(Closed):
    """Cases that are listed for correction by a deadline."""

    clock: Id = Field(description="Clock whose late cases are listed.")
    over: Duration = Field(description="Cases that took longer than this.")
    correct_within: Duration = Field(description="Deadline of the correction.")


class Sla(Closed):
    """Service promises and what happens when they are missed."""

    clocks: list[Clock] = Field(description="The clocks, the more special before the general.")
    escalation: list[EscalationStep] = Field(description="Steps after a missed target.")
    corrections: list[Correction] = Field(default=[], description="Lists for correction.")
    recorded_only: list[Urgency] = Field(
        default=[], description="Urgencies that are recorded and have no clock."
    )
    backlog_from: PositiveInt = Field(
        description="Overdue tickets of one owner from which on a backlog is given as the reason."
    )
    knowledge_base: bool = Field(description="Solved cases are offered to the knowledge base.")
    late_deliveries_count: bool = Field(
        False, description="Late deliveries are listed with missed promises."
    )

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        telling = [i for i, step in enumerate(self.escalation) if step.tell_customer]
        refuse(
            [
                Mistake(
                    ("escalation", i, "tell_customer"),
                    True,
                    f"is so at {self.escalation[telling[0]].id} already: a customer is told once",
                )
                for i in telling[1:]
            ]
        )
        return self
