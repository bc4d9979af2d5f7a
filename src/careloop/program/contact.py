"""The part of a pack about contact: caps, quiet hours, holdout, consent, loyalty."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from careloop.program.base import (
    Channel,
    Closed,
    Duration,
    Id,
    Mistake,
    PositiveInt,
    Purpose,
    Text,
    TimeOfDay,
    refuse,
    repeated,
    split_duration,
    wrong,
)


def _whole_days(value: str) -> str:
    """What counts local days: a duration in hours or working days is refused."""
    allowed = ("d (day)", "w (week)", "mo (month)", "q (quarter)", "y (year)")
    if split_duration(value)[1] not in {unit.split()[0] for unit in allowed}:
        raise wrong("must be in whole days of the calendar, e.g. 90d, 6mo, 1y", allowed)
    return value


DayDuration = Annotated[Duration, AfterValidator(_whole_days)]


class Cap(Closed):
    """At most so many messages in a time; all caps hold together."""

    id: Id = Field(description="Name in decisions.")
    most: PositiveInt = Field(description="Messages at most …")
    per: DayDuration = Field(description="… in this time; a day is a day in the program's zone.")
    purposes: list[Purpose] = Field(default=[], description="Purposes counted; all if empty.")
    channels: list[Channel] = Field(default=[], description="Channels counted; all if empty.")
    groups: list[Id] = Field(default=[], description="Cap groups of rules; all if empty.")


class Caps(Closed):
    """Limits of contact."""

    exempt_purposes: list[Purpose] = Field(description="Neither blocked nor counted.")
    limits: list[Cap] = Field(description="The caps.")


class QuietHours(Closed):
    """Times without messages, in the program's zone."""

    starts: TimeOfDay = Field(description="First minute of quiet.")
    ends: TimeOfDay = Field(description="First minute after it; may be on the next day.")
    channels: list[Channel] = Field(default=[], description="Channels; all if empty.")
    exempt_purposes: list[Purpose] = Field(default=[], description="Purposes sent all the same.")
    action: Literal["hold", "drop"] = Field(description="Wait for the end, or drop.")
    working_days_only: list[Channel] = Field(
        default=[], description="Channels used on working days only."
    )

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.starts == self.ends:
            refuse([Mistake(("ends",), self.ends, "must differ from starts")])
        return self


class Holdout(Closed):
    """Customers left alone at random, to measure what care achieves."""

    share: Annotated[float, Field(ge=0, le=0.5)] = Field(description="Share of customers.")
    salt: Id = Field(description="Changes who is drawn; keep it to keep the groups.")
    exempt_purposes: list[Purpose] = Field(description="Purposes sent to everyone.")


class Consent(Closed):
    """Whether a purpose needs a yes (opt_in) or only the absence of a no (opt_out)."""

    service: Literal["opt_in", "opt_out"] = Field(description="Messages about orders and tickets.")
    care: Literal["opt_in", "opt_out"] = Field(description="Greetings, guides, follow-ups.")
    marketing: Literal["opt_in", "opt_out"] = Field(description="Offers and recommendations.")
    survey: Literal["opt_in", "opt_out"] = Field(description="Questionnaires and interviews.")
    complaint_mutes: list[Purpose] = Field(
        description="Purposes withheld while a complaint is open."
    )


class Uplift(Closed):
    """How treated customers are compared with those left alone."""

    confidence: Annotated[float, Field(ge=0.5, lt=1)] = Field(
        0.95, description="Confidence of intervals."
    )
    least_customers: PositiveInt = Field(
        100, description="Customers in the smaller group below which nothing is said."
    )
    sample_ratio_alarm: Annotated[float, Field(gt=0, lt=0.1)] = Field(
        0.001,
        description="Chance of the groups' sizes below which the comparison is not trusted.",
    )
    window_days: PositiveInt = Field(
        30,
        description="Days in which orders count, for the program as a whole and for rules and "
        "experiments that say nothing else.",
    )


class Feedback(Closed):
    """What becomes of an address or a customer after what came back."""

    soft_bounces: PositiveInt = Field(
        3, description="Temporary failures of an address after which it is no longer used …"
    )
    soft_bounces_within: DayDuration = Field("30d", description="… if they came in this time.")
    complaint_stops: Annotated[list[Purpose], Field(min_length=1)] = Field(
        default=["care", "marketing", "survey"],
        description="Purposes that end, on every channel, when a message is reported as spam.",
    )


class Tier(Closed):
    """A loyalty tier, reached by any of its limits."""

    id: Id = Field(description="Name in tables; the value of customers.member_tier.")
    title: Text = Field(description="Name people read.")
    min_spend: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Spend in the window, in the program's currency."
    )
    min_interactions: PositiveInt | None = Field(None, description="Interactions in the window.")
    points_factor: Annotated[float, Field(ge=1)] = Field(1.0, description="Points are times this.")
    gets: list[Text] = Field(description="Benefits.")


class Earning(Closed):
    """Points for something."""

    reason: Literal["purchase", "check_in", "interaction", "survey", "referral"] = Field(
        description="What for."
    )
    points: Annotated[float, Field(gt=0)] = Field(
        description="Points per unit of currency (purchase) or per time; the sum of a day is "
        "rounded down."
    )
    most_per_day: PositiveInt | None = Field(None, description="Times a day at most.")


class PointsCampaign(Closed):
    """More points for a limited time."""

    id: Id = Field(description="Name in tables.")
    factor: Annotated[float, Field(gt=1)] = Field(description="Points are times this.")
    reasons: list[Literal["purchase", "check_in", "interaction", "survey", "referral"]] = Field(
        default=[], description="For what; everything if empty."
    )
    occasion: Id | None = Field(None, description="Around this occasion …")
    days_before: Annotated[int, Field(ge=0, le=60)] = Field(0, description="… from days before …")
    days_after: Annotated[int, Field(ge=0, le=60)] = Field(0, description="… to days after.")
    first_day: date | None = Field(None, description="Or from this day …")
    last_day: date | None = Field(None, description="… to this day.")

    @model_validator(mode="after")
    def _when(self) -> Self:
        dated = self.first_day is not None and self.last_day is not None
        if dated == (self.occasion is not None):
            refuse(
                [
                    Mistake(
                        (),
                        self.id,
                        "needs either an occasion or first_day and last_day",
                        ("occasion", "first_day and last_day"),
                    )
                ]
            )
        if dated and self.last_day < self.first_day:
            refuse([Mistake(("last_day",), str(self.last_day), "is before first_day")])
        return self


class Points(Closed):
    """Points and what they are worth."""

    earn: list[Earning] = Field(description="What earns points.")
    value: Annotated[float, Field(gt=0)] = Field(
        description="Worth of a point when redeemed, in the program's currency."
    )
    min_redeem: PositiveInt = Field(description="Fewest points redeemed at once.")
    expire_after: DayDuration = Field(description="When unused points expire.")
    expiring_within: DayDuration = Field(
        "30d", description="Points that expire in this time are shown as expiring soon."
    )
    ledger: Literal["auto", "crm", "computed"] = Field(
        "auto",
        description="Whose entries count: the CRM's, those computed from what earns points (with "
        "what the CRM says was used), or the CRM's as soon as it has any (auto).",
    )
    campaigns: list[PointsCampaign] = Field(
        default=[],
        description="Limited-time extra points; of several on a day the largest factor holds.",
    )

    @model_validator(mode="after")
    def _once(self) -> Self:
        reasons = [earning.reason for earning in self.earn]
        refuse(
            [
                Mistake(("earn", i, "reason"), reasons[i], "earns points already; keep one")
                for i in repeated(reasons)
            ]
        )
        return self


class ReferralStep(Closed):
    """Reward from so many successful referrals on."""

    from_count: PositiveInt = Field(description="From this referral on.")
    reward_share: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Share of the referred customer's first order."
    )


class Referrals(Closed):
    """Reward of referrals."""

    steps: Annotated[list[ReferralStep], Field(min_length=1)] = Field(description="The steps.")
    between: Literal["step", "linear"] = Field(
        description="Between two steps: the lower one (step) or growing evenly (linear)."
    )

    @model_validator(mode="after")
    def _growing(self) -> Self:
        counts = [step.from_count for step in self.steps]
        if counts[0] != 1 or counts != sorted(set(counts)):
            refuse([Mistake(("steps",), counts, "from_count must begin at 1 and grow")])
        return self


class Loyalty(Closed):
    """Membership tiers, points and referrals."""

    window: Literal["total", "medium", "long"] = Field(
        description="Window of spend and interactions."
    )
    tiers: Annotated[list[Tier], Field(min_length=1)] = Field(
        description="Tiers, the lowest first."
    )
    points: Points | None = Field(None, description="Points; none if left out.")
    referrals: Referrals | None = Field(None, description="Referral rewards; none if left out.")
    keep_for: DayDuration = Field(
        description="How long a tier is kept after the last day it was earned, and a lower one "
        "after a drop."
    )
    drop: Literal["one_step", "to_earned"] = Field(
        "one_step",
        description="Where a customer goes then: to the next lower tier, or at once to the one "
        "earned.",
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        mistakes = [
            Mistake(("tiers", i), tier.id, "needs min_spend or min_interactions")
            for i, tier in enumerate(self.tiers)
            if tier.min_spend is None and tier.min_interactions is None
        ]
        for limit in ("min_spend", "min_interactions"):
            values = [v for tier in self.tiers if (v := getattr(tier, limit)) is not None]
            if values != sorted(set(values)):
                mistakes.append(Mistake(("tiers",), values, f"{limit} must grow from tier to tier"))
        refuse(mistakes)
        return self
