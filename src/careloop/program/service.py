"""The part of a pack about service: touchpoints, packages, emergencies, deliveries, operation."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Mistake,
    Period,
    PositiveInt,
    Role,
    Text,
    refuse,
    split_duration,
)


class Department(Closed):
    """A department of the company."""

    id: Id = Field(description="Name in tickets and of staff.")
    title: Text = Field(description="Name people read.")


class Touchpoint(Closed):
    """A place where customers meet the company."""

    id: Id = Field(description="Name in tickets and surveys.")
    title: Text = Field(description="Name people read.")
    is_key: bool = Field(description="A key touchpoint, with its own satisfaction.")


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
    kpi_months: Annotated[int, Field(ge=1, le=60)] = Field(
        13, description="Months that KPIs are counted for, besides the running one."
    )
    kpi_quarters: Annotated[int, Field(ge=1, le=20)] = Field(
        6, description="Quarters that KPIs are counted for, besides the running one."
    )
    care_answer_days: PositiveInt = Field(
        30, description="Days after care in which an answer is about that care."
    )
    occasion_days: Annotated[int, Field(ge=0, le=60)] = Field(
        7, description="Days before and after a business occasion in which an order is part of it."
    )
    community_kinds: list[Id] = Field(
        default=["post"], description="Kinds of interactions that are activity in the community."
    )
    community_days: PositiveInt = Field(
        180, description="Days before a period in which activity makes a member of the community."
    )
