"""The part of a pack about service: clocks, escalation, pain points, emergencies, registers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Level,
    Line,
    Mistake,
    Period,
    PositiveInt,
    Role,
    Share,
    Text,
    TimeOfDay,
    Urgency,
    duration_seconds,
    refuse,
    repeated,
    split_duration,
)
from careloop.program.keywords import keyword_mistake


class Touchpoint(Closed):
    """A place where customers meet the company."""

    id: Id = Field(description="Name in tickets and surveys.")
    title: Text = Field(description="Name people read.")
    is_key: bool = Field(description="A key touchpoint, with its own satisfaction.")


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
        units = ("s", "m", "h", "d", "w")
        mistakes = []
        if self.id == WARNING:
            mistakes.append(Mistake(("id",), self.id, "is the level before a target is missed"))
        if self.after and split_duration(self.after)[1] not in units:
            mistakes.append(Mistake(("after",), self.after, "must be in real time", units))
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

    @model_validator(mode="after")
    def _once(self) -> Self:
        mistakes = [
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


class PainPointClass(Closed):
    """A class of pain points."""

    id: Literal["process", "need", "emotional"] = Field(description="The class.")
    title: Text = Field(description="Name people read.")


class PainPointRule(Closed):
    """Recognises a pain point in ticket categories or words; the first that fits holds."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="Name people read.")
    class_: Literal["process", "need", "emotional"] = Field(alias="class", description="Its class.")
    touchpoint: Id | None = Field(None, description="Touchpoint it belongs to.")
    categories: list[Id] = Field(default=[], description="Ticket categories that mean it.")
    keywords: list[Line] = Field(
        default=[],
        description="Words in any language that mean it: Latin ones as whole words whatever "
        "their case, Chinese ones anywhere; `*` is any ending, `…` up to 20 characters.",
    )
    unless_keywords: list[Line] = Field(
        default=[],
        description="Words in which a keyword does not mean it, e.g. not late; they are struck "
        "out before the keywords are looked for.",
    )
    department: Id = Field(description="Department that owns it.")
    is_core: bool = Field(description="A core pain point.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.categories and not self.keywords:
            refuse([Mistake((), self.id, "needs categories or keywords")])
        if self.unless_keywords and not self.keywords:
            refuse([Mistake(("unless_keywords",), self.id, "has no keywords to strike out")])
        refuse(
            [
                Mistake((name, i), word, mistake)
                for name in ("keywords", "unless_keywords")
                for i, word in enumerate(getattr(self, name))
                if (mistake := keyword_mistake(word))
            ]
        )
        return self


class PainPointLevel(Closed):
    """Priority of a pain point by its score (share of customers touched × complaint rate)."""

    level: Level = Field(description="Priority.")
    min_score: Share = Field(description="Least score.")
    solve_within: Duration = Field(description="Due date from being found.")


class PainPoints(Closed):
    """How complaints and enquiries are classed and ranked."""

    classes: list[PainPointClass] = Field(description="Classes used.")
    rules: list[PainPointRule] = Field(description="Rules in order.")
    levels: list[PainPointLevel] = Field(description="Priorities, highest score first.")
    window_days: PositiveInt = Field(
        90, description="Length of the rolling period that ends with the run (days)."
    )
    quarters: Annotated[int, Field(ge=1, le=12)] = Field(
        4, description="Calendar quarters shown, the running one included."
    )
    trend_from: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.1, description="Change of the score, as a share of the one before, that counts as one."
    )
    recheck_after: Duration = Field(
        description="When the customers are asked after the fix, from the solution."
    )
    solved_after: Duration = Field(
        "30d", description="Without a new case for this long, and with none open, it is solved."
    )
    department_default: Id = Field(description="Owner where no rule names one.")

    @model_validator(mode="after")
    def _falling(self) -> Self:
        scores = [level.min_score for level in self.levels]
        if scores != sorted(set(scores), reverse=True):
            refuse([Mistake(("levels",), scores, "min_score must fall from level to level")])
        refuse(
            [
                Mistake((name,), value, "cannot be in working days or months", ("d", "w"))
                for name in ("recheck_after", "solved_after")
                if duration_seconds(value := getattr(self, name)) is None
            ]
        )
        return self


class ServicePackage(Closed):
    """A service package with its items."""

    id: Id = Field(description="Value of customers.service_package.")
    title: Text = Field(description="Name people read.")
    segments: list[Id] = Field(default=[], description="Segments it is offered to.")
    items: Annotated[list[Text], Field(min_length=1)] = Field(description="What it contains.")


def _fixed(model: Closed, names: tuple[str, ...], units: tuple[str, ...]) -> None:
    """Durations that count from a moment on cannot be in other units."""
    refuse(
        [
            Mistake((name,), value, f"must be in {', '.join(units)}", units)
            for name in names
            if split_duration(value := getattr(model, name))[1] not in units
        ]
    )


class EmergencyStep(Closed):
    """A step of the playbook."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="What is done.")
    within: Duration = Field(description="Time from the incident.")
    who: Role = Field(description="Who does it.")

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        _fixed(self, ("within",), ("s", "m", "h", "d", "w"))
        return self


class Emergency(Closed):
    """Playbook for outage-type issues."""

    trigger_kinds: Annotated[list[Id], Field(min_length=1)] = Field(
        description="Ticket kinds that may be an outage."
    )
    min_tickets: PositiveInt = Field(description="Tickets that make it an incident …")
    in_window: Duration = Field(description="… within this time.")
    respond_within: Duration = Field(description="Response group starts within.")
    steps: list[EmergencyStep] = Field(description="What is done, in order.")

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        _fixed(self, ("in_window", "respond_within"), ("s", "m", "h", "d", "w"))
        return self


LATE_UNITS = ("m", "h", "d", "w", "mo")


class LateDelivery(Closed):
    """Late and lost deliveries, noticed before the customer asks."""

    late_after: Duration | None = Field(
        None, description="Time past the promised delivery; at once if left out."
    )
    promise_days: PositiveInt = Field(
        description="Days from shipping where the order has no promised time."
    )
    lost_after: Duration = Field(description="Undelivered this long past the promise is lost.")
    no_movement_after: Duration = Field(
        description="Paid or shipped, not yet late, and unchanged this long: it has stalled."
    )
    tell_within: Duration = Field(description="Customer is told within, from being late.")
    late_offer: Id | None = Field(None, description="Compensation for a late delivery.")
    lost_offer: Id | None = Field(None, description="Compensation for a lost delivery.")
    department: Id = Field(description="Department that answers for deliveries.")
    status_messages: list[Literal["paid", "preparing", "shipped", "delivered"]] = Field(
        description="Order states the customer is told of."
    )

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        refuse(
            [
                Mistake((name,), value, "cannot be in working days", tuple(LATE_UNITS))
                for name in ("late_after", "lost_after", "no_movement_after", "tell_within")
                if (value := getattr(self, name)) and split_duration(value)[1] not in LATE_UNITS
            ]
        )
        return self


# The registers careloop keeps, and the columns each can have.
REGISTER_COLUMNS = {
    "customers_and_tags": (
        "customer_id",
        "company",
        "industry",
        "contact",
        "position",
        "contact_details",
        "cooperation_start",
        "tags",
        "history",
        "last_interaction",
    ),
    "follow_ups": (
        "customer",
        "time",
        "method",
        "by",
        "content",
        "feedback",
        "item",
        "owner",
        "due",
    ),
    "tickets": (
        "ticket_id",
        "customer",
        "description",
        "type",
        "submitted",
        "responded",
        "owner",
        "progress",
        "result",
        "confirmation",
        "archived",
    ),
    "satisfaction": (
        "customer",
        "time",
        "method",
        "attitude",
        "speed",
        "efficiency",
        "advice",
        "done",
    ),
}


class RegisterColumn(Closed):
    """A column of a register."""

    id: Id = Field(description="Name of the figure.")
    title: Text = Field(description="Heading.")


class Register(Closed):
    """A register that is exported with exactly these columns."""

    id: Id = Field(description=f"Name of the register: {', '.join(REGISTER_COLUMNS)}.")
    title: Text = Field(description="Title of the sheet, at most 31 characters.")
    columns: Annotated[list[RegisterColumn], Field(min_length=1)] = Field(
        description="Columns in order."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        allowed = REGISTER_COLUMNS.get(self.id)
        if allowed is None:
            known = tuple(REGISTER_COLUMNS)
            refuse([Mistake(("id",), self.id, "is no register careloop keeps", known)])
        mistakes = [
            Mistake(("columns", i, "id"), column.id, "is no column of this register", allowed or ())
            for i, column in enumerate(self.columns)
            if column.id not in (allowed or ())
        ]
        for what, name in (("id", lambda c: c.id), ("en", _en), ("zh", _zh)):
            names = [name(column) for column in self.columns]
            mistakes += [
                Mistake(("columns", i, what if what == "id" else "title"), n, "stands there twice")
                for i, n in enumerate(names)
                if n in names[:i]
            ]
        mistakes += [
            Mistake(("title", lang), title, "has a sign no sheet's name may have, or is too long")
            for lang, title in (("en", self.title.en), ("zh", self.title.zh))
            if len(title) > SHEET_NAME or set(title) & set("[]:*?/\\'")
        ]
        refuse(mistakes)
        return self


SHEET_NAME = 31  # what Excel allows


def _en(column: RegisterColumn) -> str:
    return column.title.en


def _zh(column: RegisterColumn) -> str:
    return column.title.zh


class TicketType(Closed):
    """A type of problem in the register of tickets."""

    id: Id = Field(description="Name; also a category a ticket can have.")
    title: Text = Field(description="How the register calls it.")
    categories: list[Id] = Field(description="Ticket categories that are of this type.")


class Registers(Closed):
    """Exports for the office."""

    language: Literal["en", "zh", "locale"] = Field(
        description="Language of the headings; locale takes the run's."
    )
    lists: list[Register] = Field(description="The registers.")
    ticket_types: list[TicketType] = Field(
        default_factory=list,
        description="Types of problem; a ticket of another category has none.",
    )

    @model_validator(mode="after")
    def _one_type_each(self) -> Self:
        seen: set[str] = set()
        mistakes = []
        for i, kind in enumerate(self.ticket_types):
            names = {kind.id, *kind.categories}
            mistakes += [
                Mistake(("ticket_types", i, "categories"), name, "is of another type already")
                for name in sorted(names & seen)
            ]
            seen |= names
        refuse(mistakes)
        return self


class Confidentiality(Closed):
    """Who may see contact details and needs."""

    contact_roles: list[Role] = Field(description="Roles that see contact details.")
    need_roles: list[Role] = Field(description="Roles that see needs and descriptions.")
    log_access: bool = Field(description="Every access is recorded.")


class Operation(Closed):
    """Regular work of the service operation."""

    response_statistics_every: Literal["day", "week", "month", "quarter"] = Field(
        description="How often response times are reported."
    )
    quality_sample_every: Literal["day", "week", "month", "quarter"] = Field(
        description="How often conversations are sampled."
    )
    quality_sample_size: PositiveInt = Field(description="Conversations per sample.")
    quality_keep_days: PositiveInt = Field(92, description="Days samples are drawn and kept for.")
    review_every: Period = Field(description="How often the review meeting is.")
    review_cases: PositiveInt = Field(description="Escalated and praised cases shown, each.")
    satisfaction_scale_max: Annotated[int, Field(ge=2, le=100)] = Field(
        description="Highest score of the satisfaction survey."
    )
    satisfied_from: PositiveInt = Field(description="Lowest score that counts as satisfied.")
    min_sample: PositiveInt = Field(
        30, description="Cases or customers below which a figure of staff is a small sample."
    )
    staff_quarters: Annotated[int, Field(ge=1, le=12)] = Field(
        4, description="Calendar quarters of the staff view, the running one included."
    )
