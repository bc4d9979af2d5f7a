"""The part of a pack about who customers are: profile windows, RFM, segments, stages, activity,
value, health."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Id,
    Mistake,
    PositiveInt,
    Share,
    Text,
    refuse,
)
from careloop.program.conditions import Condition
from careloop.program.measures import MEASURES


class Windows(Closed):
    """Lengths of the windows in measure names like orders_short."""

    short_days: PositiveInt = Field(description="Days in the short window.")
    medium_days: PositiveInt = Field(description="Days in the medium window.")
    long_days: PositiveInt = Field(description="Days in the long window.")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.short_days < self.medium_days < self.long_days:
            values = [self.short_days, self.medium_days, self.long_days]
            refuse([Mistake((), values, "must grow: short_days < medium_days < long_days")])
        return self


class Profile(Closed):
    """What a customer profile is measured over."""

    windows: Windows = Field(description="Lengths of the short, medium and long windows.")
    visit_kinds: Annotated[list[Id], Field(min_length=1)] = Field(
        description="Kinds of interactions that count as visits."
    )
    engagement_kinds: Annotated[list[Id], Field(min_length=1)] = Field(
        description="Kinds of interactions that answer what the company sent or published."
    )
    min_baseline: PositiveInt = Field(
        description="Fewest events before the recent window for a change against the customer's "
        "own rate to be known."
    )
    complete_fields: list[Id] = Field(
        description="Columns of the customers entity that a complete profile has."
    )


class Bands(Closed):
    """Cut points per axis, ascending, one fewer than rfm.bins."""

    recency_days: list[PositiveInt] = Field(
        description="Days since the last order; fewer days score higher."
    )
    frequency: list[PositiveInt] = Field(
        description="Orders; a value at or above a cut is in the next score."
    )
    monetary: list[Annotated[float, Field(gt=0)]] = Field(
        description="Spend in the program's currency; at or above a cut is the next score."
    )


ScoreRange = Annotated[list[Annotated[int, Field(ge=1, le=10)]], Field(min_length=2, max_length=2)]


class RfmGroup(Closed):
    """A named group of RFM scores; the first group that fits names the customer."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="Name people read.")
    r: ScoreRange | None = Field(
        None, description="Lowest and highest recency score; any if left out."
    )
    f: ScoreRange | None = Field(
        None, description="Lowest and highest frequency score; any if left out."
    )
    m: ScoreRange | None = Field(
        None, description="Lowest and highest monetary score; any if left out."
    )


class Rfm(Closed):
    """Recency, frequency and monetary scores from 1 (worst) to bins (best)."""

    method: Literal["quantile", "bands"] = Field(
        description="quantile: equal shares of the buyers; bands: fixed cut points."
    )
    bins: Annotated[int, Field(ge=2, le=10)] = Field(description="Highest score of each axis.")
    window: Literal["total", "medium", "long"] = Field(
        description="Orders that count for frequency and monetary."
    )
    bands: Bands | None = Field(None, description="Cut points; needed for the method bands.")
    groups: list[RfmGroup] = Field(description="Named groups in order; the last has no ranges.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        mistakes = []
        if self.method == "bands" and self.bands is None:
            mistakes.append(Mistake(("bands",), None, "is needed for the method bands"))
        for axis in ("recency_days", "frequency", "monetary") if self.bands else ():
            cuts = getattr(self.bands, axis)
            if len(cuts) != self.bins - 1 or cuts != sorted(set(cuts)):
                mistakes.append(
                    Mistake(
                        ("bands", axis),
                        cuts,
                        f"must be {self.bins - 1} growing cut points for {self.bins} bins",
                    )
                )
        for i, group in enumerate(self.groups):
            for axis in "rfm":
                span = getattr(group, axis)
                if span and not span[0] <= span[1] <= self.bins:
                    mistakes.append(
                        Mistake(
                            ("groups", i, axis),
                            span,
                            f"must be [low, high] within 1 and {self.bins}",
                        )
                    )
            bare = group.r is None and group.f is None and group.m is None
            if bare != (i == len(self.groups) - 1):
                mistakes.append(
                    Mistake(
                        ("groups", i),
                        group.id,
                        "the last group, and only the "
                        "last, has no ranges, so that everyone is in one",
                    )
                )
        refuse(mistakes)
        return self


class Ordered(Closed):
    """One of a list of rules: the first whose condition holds wins."""

    id: Id = Field(description="Name in tables and rules.")
    title: Text = Field(description="Name people read.")
    about: Text | None = Field(None, description="Who this is, in a sentence.")
    when: Condition | None = Field(
        None, description="Condition over measures; the last of the list, and only it, has none."
    )


class Segment(Ordered):
    """A customer segment. Every customer is in exactly one."""

    expected_share: Share | None = Field(
        None, description="Share of all customers it should have; the review compares."
    )
    gets: list[Text] = Field(description="What customers of this segment get.")


class Stage(Ordered):
    """A lifecycle stage. Every customer is in exactly one."""

    care: list[Text] = Field(default=[], description="What customers in this stage get.")


class ActivityLevel(Ordered):
    """A level of activity. Every customer is in exactly one."""


class Activity(Closed):
    """How active customers are and when they count as dormant."""

    dormant_days: PositiveInt = Field(description="Days without the dormancy measure's event.")
    dormant_measure: Literal[
        "days_since_last_order", "days_since_last_interaction", "days_since_last_activity"
    ] = Field(description="What must not have happened for dormant_days.")
    lost_days: PositiveInt = Field(
        description="Days after which a dormant customer counts as lost."
    )
    levels: list[ActivityLevel] = Field(description="Levels in order; the last has no condition.")

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.lost_days <= self.dormant_days:
            refuse(
                [
                    Mistake(
                        ("lost_days",),
                        self.lost_days,
                        f"must be more than dormant_days ({self.dormant_days})",
                    )
                ]
            )
        return self


class ValueGate(Closed):
    """How good the value model must be in its holdout before its figures are used."""

    min_repeat_customers: PositiveInt = Field(description="Fewest customers with a repeat order.")
    max_total_error: Share = Field(
        description="Largest error of the predicted number of orders, as a share."
    )
    min_correlation: Annotated[float, Field(ge=-1, le=1)] = Field(
        description="Least correlation of predicted and actual orders per customer."
    )
    fallback: Literal["history", "unknown"] = Field(
        description="Without a good model: value from history, or unknown."
    )


class ValueApplies(Closed):
    """Which data the value model applies to: customers who come back, free to stay away."""

    min_repeat_share: Share = Field(
        description="Least share of buyers with a repeat order; below, purchases are single."
    )
    min_interval_variation: Annotated[float, Field(ge=0, le=1)] = Field(
        description="Least coefficient of variation of the days between a customer's orders, "
        "median of a sample; below, they are a subscription's. At random it is about 1."
    )
    min_sampled_customers: PositiveInt = Field(
        description="Fewest customers with three intervals to tell by; below, nothing is ruled out."
    )
    max_sampled_customers: PositiveInt = Field(description="Most customers in the sample.")


class ChurnModel(Closed):
    """Churn risk learned from who ordered nothing after an earlier day, the cut-off."""

    max_history_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Largest share of the history after the cut-off; churn_horizon_days if less."
    )
    max_sampled_customers: PositiveInt = Field(description="Most customers the model is fitted on.")
    min_customers: PositiveInt = Field(
        description="Fewest customers who left, and fewest who stayed."
    )
    min_auc_gain: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        description="Least lead of its AUC over recency alone and RFM, on customers it was not "
        "fitted on."
    )


class HighPotential(Closed):
    """Customers worth more in future than they have spent so far."""

    min_predicted_rank: Share = Field(description="Least rank of predicted value, 0 to 1.")
    max_spend_rank: Share = Field(description="Highest rank of spend so far, 0 to 1.")


class Value(Closed):
    """Prediction of customer lifetime value."""

    horizon_months: PositiveInt = Field(description="Months the value is predicted for.")
    time_unit: Literal["day", "week"] = Field(description="Time step of the model.")
    holdout_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        description="Latest share of the history that checks the model."
    )
    yearly_discount_rate: Share = Field(description="Discount of future spend per year.")
    churn_horizon_days: PositiveInt = Field(
        description="Days within which a customer who doesn't order counts as lost, for churn risk."
    )
    churn_model: ChurnModel = Field(description="How churn risk is learned, and when it is used.")
    applies: ValueApplies = Field(description="Data the model is for.")
    gate: ValueGate = Field(description="Limits the model must meet.")
    high_potential: HighPotential = Field(description="Which customers count as high potential.")


Aspect = Literal["satisfaction", "resolution", "response", "activity", "value", "engagement"]


class HealthComponent(Closed):
    """One part of the health score: a measure mapped to 0..100 in a straight line."""

    id: Id = Field(description="Name in tables.")
    aspect: Aspect = Field(description="What it is about; a radar has an axis for each.")
    title: Text = Field(description="Name people read.")
    measure: Id = Field(description="The measure; unknown leaves the component out.")
    worst: float = Field(description="Value that scores 0 (and beyond).")
    best: float = Field(description="Value that scores 100 (and beyond).")
    weight: Annotated[float, Field(gt=0)] = Field(description="Weight among the known components.")
    when: Condition | None = Field(
        None, description="Whom it is known of; of everybody with the measure if left out."
    )

    @model_validator(mode="after")
    def _measure(self) -> Self:
        numeric = tuple(m.name for m in MEASURES.values() if m.type not in ("text", "boolean"))
        mistakes = []
        if self.measure not in numeric:
            mistakes.append(
                Mistake(("measure",), self.measure, "is not a numeric measure", numeric)
            )
        if self.worst == self.best:
            mistakes.append(Mistake(("best",), self.best, "must differ from worst"))
        refuse(mistakes)
        return self


class HealthBands(Closed):
    """Colours of the health score."""

    red_at_most: Annotated[float, Field(gt=0, lt=100)] = Field(description="Red up to this score.")
    yellow_at_most: Annotated[float, Field(gt=0, lt=100)] = Field(
        description="Yellow up to this score, green above."
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.red_at_most >= self.yellow_at_most:
            refuse(
                [
                    Mistake(
                        ("yellow_at_most",),
                        self.yellow_at_most,
                        f"must be above red_at_most ({self.red_at_most:g})",
                    )
                ]
            )
        return self


TREND_DAYS = (30, 90)


class HealthHistory(Closed):
    """Which scores are kept to tell how health develops."""

    every_days: PositiveInt = Field(
        description="Fewest days between two recorded scores of a customer."
    )
    keep_days: Annotated[int, Field(ge=max(TREND_DAYS))] = Field(
        description="Days a recorded score is kept. The latest one before stays, too: it still "
        "says what the score was then."
    )


class Health(Closed):
    """Health score: weighted mean of the known components, 0 to 100."""

    components: Annotated[list[HealthComponent], Field(min_length=1)] = Field(
        description="What the score is made of."
    )
    bands: HealthBands = Field(description="Limits of red and yellow.")
    min_known_weight: Share = Field(
        description="Least share of weight that must be known, else the score is unknown."
    )
    history: HealthHistory = Field(description="Recorded scores.")
