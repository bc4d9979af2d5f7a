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
    Urgency,
    refuse,
    split_duration,
)


class Touchpoint(Closed):
    """A place where customers meet the company."""

    id: Id = Field(description="Name in tickets and surveys.")
    title: Text = Field(description="Name people read.")
    is_key: bool = Field(description="A key touchpoint, with its own satisfaction.")


class Clock(Closed):
    """A service promise: how long something may take. The first clock that fits holds; empty
    filters fit everything."""

    id: Id = Field(description="Name in tables and rules.")
    title: Text = Field(description="Name people read.")
    starts: Literal[
        "ticket_opened",
        "handed_over",
        "ticket_solved",
        "ticket_overdue",
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
    touchpoints: list[Id] = Field(default=[], description="Touchpoints of the pack.")
    segments: list[Id] = Field(default=[], description="Segments of the pack.")
    stages: list[Id] = Field(default=[], description="Stages of the pack.")
    tiers: list[Id] = Field(default=[], description="Loyalty tiers of the pack.")
    complex: bool | None = Field(None, description="Only complex tickets, or only simple ones.")
    target: Duration = Field(description="Longest it may take.")
    clock: Literal["calendar", "business"] = Field(
        description="calendar runs always, business only in working hours."
    )
    pauses: list[Literal["pending", "on_hold"]] = Field(
        default=[], description="Ticket statuses that stop the clock meanwhile."
    )
    warn_at: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.8, description="Share of the target used up when the owner is warned."
    )
    target_share: Share = Field(1.0, description="Share of cases to be within the target.")

    @model_validator(mode="after")
    def _length(self) -> Self:
        if split_duration(self.target)[1] == "wd" and self.clock == "calendar":
            refuse([Mistake(("clock",), self.clock, "cannot count working days", ("business",))])
        return self


class EscalationStep(Closed):
    """What happens when a clock runs out, and later."""

    id: Id = Field(description="Name in tables.")
    after: Duration | None = Field(None, description="Time past the target; at once if left out.")
    to: Role = Field(description="Who is told.")
    tell_customer: bool = Field(description="The customer is told why, with an apology.")


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
    knowledge_base: bool = Field(description="Solved cases are offered to the knowledge base.")
    late_deliveries_count: bool = Field(
        False, description="Late deliveries are listed with missed promises."
    )


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
    keywords: list[Line] = Field(default=[], description="Words in any language that mean it.")
    department: Id = Field(description="Department that owns it.")
    is_core: bool = Field(description="A core pain point.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.categories and not self.keywords:
            refuse([Mistake((), self.id, "needs categories or keywords")])
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
    recheck_after: Duration = Field(description="When the customers are asked after the fix.")
    department_default: Id = Field(description="Owner where no rule names one.")

    @model_validator(mode="after")
    def _falling(self) -> Self:
        scores = [level.min_score for level in self.levels]
        if scores != sorted(set(scores), reverse=True):
            refuse([Mistake(("levels",), scores, "min_score must fall from level to level")])
        return self


class ServicePackage(Closed):
    """A service package with its items."""

    id: Id = Field(description="Value of customers.service_package.")
    title: Text = Field(description="Name people read.")
    segments: list[Id] = Field(default=[], description="Segments it is offered to.")
    items: Annotated[list[Text], Field(min_length=1)] = Field(description="What it contains.")


class EmergencyStep(Closed):
    """A step of the playbook."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="What is done.")
    within: Duration = Field(description="Time from the incident.")
    who: Role = Field(description="Who does it.")


class Emergency(Closed):
    """Playbook for outage-type issues."""

    trigger_kinds: Annotated[list[Id], Field(min_length=1)] = Field(
        description="Ticket kinds that may be an outage."
    )
    min_tickets: PositiveInt = Field(description="Tickets that make it an incident …")
    in_window: Duration = Field(description="… within this time.")
    respond_within: Duration = Field(description="Response group starts within.")
    steps: list[EmergencyStep] = Field(description="What is done, in order.")


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
    tell_within: Duration = Field(description="Customer is told within, from being late.")
    late_offer: Id | None = Field(None, description="Compensation for a late delivery.")
    lost_offer: Id | None = Field(None, description="Compensation for a lost delivery.")
    status_messages: list[Literal["paid", "preparing", "shipped", "delivered"]] = Field(
        description="Order states the customer is told of."
    )

    @model_validator(mode="after")
    def _calendar(self) -> Self:
        refuse(
            [
                Mistake((name,), value, "cannot be in working days", tuple(LATE_UNITS))
                for name in ("late_after", "lost_after")
                if (value := getattr(self, name)) and split_duration(value)[1] not in LATE_UNITS
            ]
        )
        return self


class RegisterColumn(Closed):
    """A column of a register."""

    id: Id = Field(description="Name of the figure.")
    title: Text = Field(description="Heading.")


class Register(Closed):
    """A register that is exported with exactly these columns."""

    id: Id = Field(description="Name of the register.")
    title: Text = Field(description="Title of the export.")
    columns: Annotated[list[RegisterColumn], Field(min_length=1)] = Field(
        description="Columns in order."
    )


class Registers(Closed):
    """Exports for the office."""

    language: Literal["en", "zh", "locale"] = Field(
        description="Language of the headings; locale takes the run's."
    )
    lists: list[Register] = Field(description="The registers.")


class Confidentiality(Closed):
    """Who may see contact details and needs."""

    contact_roles: list[Role] = Field(description="Roles that see contact details.")
    need_roles: list[Role] = Field(description="Roles that see needs and descriptions.")
    log_access: bool = Field(description="Every access is recorded.")


class Operation(Closed):
    """Regular work of the service operation."""

    response_statistics_every: Period = Field(description="How often response times are reported.")
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
