"""The part of a pack about the closed loop: the steps of a case, first contact, low scores."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from careloop.program.base import (
    Closed,
    Duration,
    Mistake,
    PositiveInt,
    Role,
    Share,
    Text,
    Urgency,
    duration_seconds,
    refuse,
)

Step = Literal[
    "acknowledged",
    "classified",
    "owner_assigned",
    "due_set",
    "answered",
    "solved",
    "called_back",
    "result_told",
    "confirmed",
    "archived",
]
STEPS: tuple[str, ...] = get_args(Step)
Failure = Literal["reopened", "repeated", "asked_back", "followed_up", "several_people"]
SECONDS = ("s", "m", "h", "d", "w")


class LoopStep(Closed):
    """A step of a case and the time it may take."""

    id: Step = Field(description="The step.")
    title: Text = Field(description="Name people read.")
    within: Duration | None = Field(
        None,
        description="Time it may take from the step before, day and night; left out only for "
        "solved, which goes by the case's due date.",
    )

    @model_validator(mode="after")
    def _length(self) -> Self:
        if self.within is None:
            if self.id != "solved":
                refuse([Mistake(("within",), None, f"is needed for {self.id}")])
        elif duration_seconds(self.within) is None:
            refuse([Mistake(("within",), self.within, "must be in fixed units", SECONDS)])
        return self


class FirstContact(Closed):
    """What a case solved at the first contact is."""

    fails: Annotated[list[Failure], Field(min_length=1)] = Field(
        description="What makes it more than one contact: reopened; repeated (the customer came "
        "back for the same cause within repeat_days); asked_back (it waited for the customer); "
        "followed_up (a follow-up about it before it was solved); several_people (more than one "
        "member of staff worked on it)."
    )


class LowScore(Closed):
    """Survey answers that open a case."""

    kind: Literal["csat", "nps", "ces"] = Field(description="Kind of survey.")
    at_most: Share = Field(
        description="Highest score that opens a case, as a share of its scale: 0.25 is 2 on a "
        "scale of 1 to 5."
    )
    urgency: Urgency = Field(description="Urgency of the case.")
    who: Role = Field(description="Who works on it.")
    solve_within: Duration = Field(description="Due from the answer.")

    @model_validator(mode="after")
    def _length(self) -> Self:
        if duration_seconds(self.solve_within) is None:
            mistake = Mistake(
                ("solve_within",), self.solve_within, "must be in fixed units", SECONDS
            )
            refuse([mistake])
        return self


class ClosedLoop(Closed):
    """From feedback to archive: nothing is left half done."""

    steps: Annotated[list[LoopStep], Field(min_length=1)] = Field(
        description="Steps of a case, in their order."
    )
    due_default: Duration = Field(
        description="Due from opening, where no service clock says when a case is to be solved."
    )
    repeat_days: PositiveInt = Field(
        description="Another ticket of the customer for the same cause within so many days of "
        "the solution (24 hours each) is a repeat."
    )
    same_cause: Annotated[
        list[Literal["category", "kind", "touchpoint", "order_id"]], Field(min_length=1)
    ] = Field(description="Columns of tickets that are equal where the cause is the same.")
    first_contact: FirstContact = Field(description="First-contact resolution.")
    low_scores: list[LowScore] = Field(default=[], description="Answers that open a case.")
    lapse_days: PositiveInt = Field(
        description="A case on which nothing happened for so many days is given up as lapsed, "
        "and so is a clock that waits that long to call or ask a customer."
    )
    knowledge_min_cases: PositiveInt = Field(
        description="Confirmations of customers needed before a solution is called the best."
    )

    @model_validator(mode="after")
    def _order(self) -> Self:
        places = [STEPS.index(step.id) for step in self.steps]
        mistakes = []
        if duration_seconds(self.due_default) is None:
            mistakes.append(
                Mistake(("due_default",), self.due_default, "must be in fixed units", SECONDS)
            )
        if places != sorted(set(places)):
            names = tuple(step.id for step in self.steps)
            mistakes.append(Mistake(("steps",), names, "must be in this order, each once", STEPS))
        if "solved" not in [step.id for step in self.steps]:
            mistakes.append(Mistake(("steps",), "solved", "is missing", STEPS))
        if len(self.same_cause) != len(set(self.same_cause)):
            mistakes.append(Mistake(("same_cause",), self.same_cause, "names a column twice"))
        kinds = [low.kind for low in self.low_scores]
        mistakes += [
            Mistake(("low_scores", i, "kind"), kind, "has a limit already")
            for i, kind in enumerate(kinds)
            if kind in kinds[:i]
        ]
        refuse(mistakes)
        return self
