"""A proposal while it is made: what it would do is found out later, by a dry run."""

from dataclasses import dataclass, field
from typing import Any

from careloop.calibrate.edit import Change
from careloop.calibrate.model import Confidence, Part, Promise, Proposal, Words
from careloop.calibrate.say import say

LEVELS: tuple[Confidence, ...] = ("low", "medium", "high")
# So many times the fewest cases are plenty.
PLENTY = 10


@dataclass
class Draft:
    """cases: how much it rests on; effect: None where a dry run of the segments says it."""

    id: str
    part: Part
    title: Words
    change: Change
    evidence: Words
    figures: dict[str, Any]
    cases: int
    effect: Words | None = None
    caveats: list[Words] = field(default_factory=list)
    promises: list[Promise] = field(default_factory=list)
    doubts: int = 0

    def doubt(self, key: str, /, **values: Any) -> None:
        """A caveat that makes it less certain."""
        self.caveats.append(say(key, **values))
        self.doubts += 1

    def confidence(self, least: int) -> Confidence:
        """high: ten times the fewest cases; a step lower per doubt."""
        start = 2 if self.cases >= PLENTY * least else 1
        return LEVELS[max(0, start - self.doubts)]

    def done(self, effect: Words, promises: list[Promise], least: int) -> Proposal:
        """The proposal."""
        return Proposal(
            self.id,
            self.part,
            self.title,
            (self.change,),
            self.evidence,
            effect,
            self.figures,
            self.confidence(least),
            tuple(self.caveats),
            tuple(promises),
        )
