"""The part of a pack about goals: KPI targets, benchmarks, findings, and limits on the data."""

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Level,
    Line,
    Mistake,
    Purpose,
    Share,
    Text,
    refuse,
    split_duration,
)
from careloop.program.kpis import KPIS, LIMITS

# Units of durations that count whole days.
_DAYS = ("d", "w", "mo", "q", "y")


def _kpi_mistakes(kpi: str, value: float | None, key: str) -> list[Mistake]:
    """A KPI that does not exist, or a value outside its unit."""
    if kpi not in KPIS:
        return [Mistake(("kpi",), kpi, "is not a KPI", tuple(KPIS))]
    unit = KPIS[kpi].unit
    low, high = LIMITS[unit]
    if value is not None and not low <= value <= high:
        return [Mistake((key,), value, f"is outside {low:g} to {high:g} ({unit})")]
    return []


class KpiTarget(Closed):
    """One target: a value, or a change against a baseline."""

    id: Id = Field(description="Name in the review.")
    kpi: Id = Field(description="The KPI.")
    touchpoint: Id | None = Field(None, description="Only this touchpoint.")
    segment: Id | None = Field(None, description="Only this segment.")
    stage: Id | None = Field(None, description="Only this stage.")
    core_only: bool = Field(False, description="Only core pain points.")
    by_owner: bool = Field(False, description="Also measured per account manager.")
    direction: Literal["at_least", "above", "at_most", "below"] = Field(
        description="Which side of the target is reached."
    )
    value: float | None = Field(None, description="Target in the KPI's unit.")
    change: Annotated[float, Field(ge=-1, le=10)] | None = Field(
        None, description="Target as a relative change of the baseline: 0.25 is +25 %."
    )
    stretch: float | None = Field(None, description="A better value or change to aim for.")
    baseline: (
        Literal["start_quarter", "start_month", "year_before_start", "same_month_last_year"] | None
    ) = Field(None, description="What a change is measured from; the start is goals.started_on.")
    baseline_value: float | None = Field(
        None,
        description="Known value at the start, in the KPI's unit; measured if left out: over the "
        "baseline, or that month, quarter or year before the start which fits `every`.",
    )
    within: Duration | None = Field(None, description="Deadline from the start; now if left out.")
    every: Literal["week", "month", "quarter", "year"] = Field(
        "quarter", description="Period it is measured over; a year is the last 12 months."
    )
    critical: bool = Field(False, description="Whoever answers for the program is told of a miss.")

    @model_validator(mode="after")
    def _target(self) -> Self:
        mistakes = _kpi_mistakes(self.kpi, self.value, "value")
        if (self.value is None) == (self.change is None):
            mistakes.append(
                Mistake((), self.id, "needs either a value or a change", ("value", "change"))
            )
        if (self.change is not None) != (self.baseline is not None):
            mistakes.append(
                Mistake(("baseline",), self.baseline, "is needed for a change, and only there")
            )
        if self.kpi in KPIS:
            better = KPIS[self.kpi].better
            fitting = ("at_least", "above") if better == "higher" else ("at_most", "below")
            if self.direction not in fitting:
                mistakes.append(
                    Mistake(
                        ("direction",),
                        self.direction,
                        f"does not fit {self.kpi}: {better} is better",
                        fitting,
                    )
                )
            if self.change is not None and (self.change > 0) != (better == "higher"):
                mistakes.append(
                    Mistake(
                        ("change",),
                        self.change,
                        f"goes the wrong way: {better} is better for {self.kpi}",
                    )
                )
        slices = [
            key
            for key in ("touchpoint", "segment", "stage", "core_only", "by_owner")
            if getattr(self, key)
        ]
        if len(slices) > 1:
            mistakes.append(
                Mistake((slices[1],), getattr(self, slices[1]), f"does not go with {slices[0]}")
            )
        if self.baseline == "same_month_last_year" and self.every == "week":
            mistakes.append(Mistake(("baseline",), self.baseline, "is not there of a week"))
        if self.within is not None and split_duration(self.within)[1] not in _DAYS:
            mistakes.append(Mistake(("within",), self.within, "is not in days or longer", _DAYS))
        refuse(mistakes)
        return self


class WatchedKpi(Closed):
    """A KPI reported without a target."""

    kpi: Id = Field(description="The KPI.")
    every: Literal["week", "month", "quarter", "year"] = Field(
        description="Period it is reported for."
    )

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse(_kpi_mistakes(self.kpi, None, "kpi"))
        return self


class Goals(Closed):
    """KPI targets."""

    started_on: date | None = Field(
        None,
        description="First day of the program; the first day of the first month with data if "
        "left out.",
    )
    targets: list[KpiTarget] = Field(description="The targets.")
    watched: list[WatchedKpi] = Field(default=[], description="KPIs reported without a target.")


class Benchmark(Closed):
    """An industry figure; those of the benchmarks entity go before it."""

    kpi: Id = Field(description="The KPI.")
    period: Line = Field(description="Period it holds for, e.g. 2026 or 2026Q3.")
    value: float = Field(description="The figure, in the KPI's unit.")
    source: Line = Field(description="Where it was published.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        refuse(_kpi_mistakes(self.kpi, self.value, "value"))
        return self


class FindingRule(Closed):
    """A figure that makes a finding."""

    id: Id = Field(description="Name in the review.")
    title: Text = Field(description="The finding.")
    kpi: Id = Field(description="The KPI.")
    stage: Id | None = Field(None, description="Only this stage.")
    direction: Literal["at_least", "above", "at_most", "below"] = Field(
        description="Side of the limit that is a finding."
    )
    value: float | None = Field(None, description="Limit in the KPI's unit.")
    against_benchmark: Annotated[float, Field(ge=-1, le=10)] | None = Field(
        None, description="Limit relative to the benchmark: -0.2 is 20 % below it."
    )

    @model_validator(mode="after")
    def _limit(self) -> Self:
        mistakes = _kpi_mistakes(self.kpi, self.value, "value")
        if (self.value is None) == (self.against_benchmark is None):
            mistakes.append(
                Mistake(
                    (),
                    self.id,
                    "needs either a value or against_benchmark",
                    ("value", "against_benchmark"),
                )
            )
        refuse(mistakes)
        return self


class FindingPriority(Closed):
    """A priority of findings and its deadline."""

    level: Level = Field(description="Priority.")
    fix_within: Duration = Field(description="Deadline of the fix.")
    rules: Annotated[list[FindingRule], Field(min_length=1)] = Field(description="What counts.")


class Freshness(Closed):
    """Oldest an entity's data may be before some purposes are blocked."""

    entity: Id = Field(description="Canonical entity.")
    max_age: Duration = Field(description="Age of its last batch, at the start of the run.")
    blocks: list[Purpose] = Field(description="Purposes not sent while it is older.")
    severity: Literal["critical", "warning"] = Field(description="critical stops the run.")


class Volume(Closed):
    """Largest change of an entity's rows against the previous run."""

    entity: Id = Field(description="Canonical entity.")
    max_drop: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Largest fall of the row count, as a share: 0.5 is half."
    )
    max_growth: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Largest rise, as a share; 1 is double. No limit if left out."
    )
    severity: Literal["critical", "warning"] = Field(description="critical stops the run.")


class Data(Closed):
    """What the data must be like; read by the quality gates."""

    freshness: list[Freshness] = Field(description="Limits of age.")
    volume: list[Volume] = Field(description="Limits of change.")
    max_rejected_share: Share = Field(
        description="Largest share of a batch's rows in quarantine before the run stops."
    )
    few_rejected: int = Field(
        ge=0,
        description="So many rows of a file in quarantine stop no run, unless they are all it has.",
    )
