"""The part of a pack about pain points: how complaints are classed, ranked and rechecked."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Id,
    Level,
    Line,
    Mistake,
    PositiveInt,
    Share,
    Text,
    duration_seconds,
    refuse,
)
from careloop.program.keywords import keyword_mistake


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
