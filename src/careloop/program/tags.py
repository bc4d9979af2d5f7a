"""The part of a pack about tags, and about the channel and time of day a customer prefers."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from careloop.contract import entities
from careloop.program.base import (
    Channel,
    Closed,
    Duration,
    Id,
    Line,
    Mistake,
    PositiveInt,
    Share,
    Text,
    TimeOfDay,
    refuse,
)
from careloop.program.conditions import COMPARISONS, OPERATIONS_BY_TYPE, Condition
from careloop.program.measures import MEASURES

Kind = Literal["category", "viewed_category", "channel", "content"]
RULES = ("column", "when", "measure", "most")
# Which other keys a rule takes: true where it cannot do without.
_KEYS: dict[str, dict[str, bool]] = {
    "column": {"contains": False},
    "when": {},
    "measure": {"bands": True},
    "category": {"min_events": True, "window_days": True, "min_share": False},
    "viewed_category": {"min_events": True, "window_days": True, "min_share": False, "kinds": True},
    "content": {"min_events": True, "window_days": True, "min_share": False, "forms": True},
    "channel": {"min_share": False},  # the rest is that of channel_preference
}
_PARTS = ("contains", "bands", "min_events", "min_share", "window_days", "kinds", "forms")


class Band(Closed):
    """One value of a tag that is read off a measure."""

    from_: int | float | None = Field(
        None,
        alias="from",
        description="Least of the measure; the last band without it takes everything lower.",
    )
    id: Id = Field(description="Value of the tag.")
    title: Text = Field(description="Name people read.")


class Form(Closed):
    """A form of content, as the kinds of interactions that show it was taken in."""

    id: Id = Field(description="Value of the tag.")
    title: Text = Field(description="Name people read.")
    kinds: Annotated[list[Id], Field(min_length=1)] = Field(
        description="Kinds of interactions, e.g. content_read."
    )


class Tag(Closed):
    """A tag, by one of four rules: copied from a `column` of customers (or given where it
    `contains` a word); given `when` a condition holds; the first of the `bands` that a `measure`
    reaches; or what the customer did `most`."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="Name people read.")
    group: Literal["person", "value", "stage", "need", "behaviour"] = Field(
        description="What the tag is about."
    )
    kind: Literal["static", "dynamic"] = Field(
        description="static changes with the record, dynamic with behaviour."
    )
    applies_to: Literal["person", "company"] | None = Field(
        None, description="Not for customers known to be the other; for all if left out."
    )
    column: str | None = Field(None, description="Column it is copied from, e.g. customers.region.")
    contains: Annotated[list[Line], Field(min_length=1)] | None = Field(
        None,
        description="Words, one of which the column must contain; the tag is then `yes`. "
        "Capitals do not matter.",
    )
    when: Condition | None = Field(None, description="Condition for having it, as `yes`.")
    measure: str | None = Field(None, description="Measure whose bands are the values.")
    bands: Annotated[list[Band], Field(min_length=1)] | None = Field(
        None, description="Values, from the highest `from` down; the first that fits holds."
    )
    most: Kind | None = Field(
        None,
        description="What the customer has most of: `category` of what was bought, "
        "`viewed_category` of what was looked at, `channel` answered (by channel_preference), "
        "form of `content`. Each at most once in a pack.",
    )
    min_events: PositiveInt | None = Field(
        None, description="Fewest events in all before `most` is judged."
    )
    min_share: Share | None = Field(
        None, description="Least share of the events for a favourite; none below it."
    )
    window_days: PositiveInt | None = Field(None, description="Days looked at for `most`.")
    kinds: Annotated[list[Id], Field(min_length=1)] | None = Field(
        None, description="Kinds of interactions that count as looking at a product."
    )
    forms: Annotated[list[Form], Field(min_length=1)] | None = Field(
        None, description="Forms of content."
    )
    refresh_days: PositiveInt | None = Field(
        None, description="Oldest a dynamic tag may be, in days."
    )
    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="Weight in need scores.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        rules = [rule for rule in RULES if getattr(self, rule) is not None]
        if len(rules) != 1:
            refuse([Mistake((), rules or None, "needs exactly one of these keys", RULES)])
        rule = self.most or rules[0]
        mistakes = [*self._key_mistakes(rule), *self._band_mistakes()]
        if (self.kind == "dynamic") != (self.refresh_days is not None):
            mistakes.append(
                Mistake(
                    ("refresh_days",),
                    self.refresh_days,
                    "is needed for a dynamic tag, and only there",
                )
            )
        refuse(mistakes)
        return self

    def _key_mistakes(self, rule: str) -> list[Mistake]:
        named = f"`most: {rule}`" if self.most else f"`{rule}`"
        keys, mistakes = _KEYS[rule], []
        for part in _PARTS:
            value = getattr(self, part)
            if value is not None and part not in keys:
                shown = None if isinstance(value, list) else value
                mistakes.append(Mistake((part,), shown, f"does not go with {named}", tuple(keys)))
            elif value is None and keys.get(part):
                mistakes.append(Mistake((part,), None, f"is needed with {named}"))
        return mistakes

    def _band_mistakes(self) -> list[Mistake]:
        if self.measure is None:
            return []
        measure = MEASURES.get(self.measure)
        if measure is None:
            return [Mistake(("measure",), self.measure, "is not a measure", numeric_measures())]
        if measure.name not in numeric_measures():
            message = f"is {measure.type}: only numbers have bands"
            return [Mistake(("measure",), self.measure, message, numeric_measures())]
        bands, mistakes = self.bands or [], []
        for i, band in enumerate(bands):
            last = i == len(bands) - 1
            if band.from_ is None and not last:
                mistakes.append(
                    Mistake(("bands", i), band.id, "has no `from`: only the last band may lack it")
                )
            above = bands[i - 1].from_ if i else None
            if band.from_ is not None and above is not None and band.from_ >= above:
                message = f"must be lower than that of the band before ({above:g})"
                mistakes.append(Mistake(("bands", i, "from"), band.from_, message))
        return mistakes


def numeric_measures() -> tuple[str, ...]:
    """Measures that can be compared with a number."""
    return tuple(
        m.name for m in MEASURES.values() if set(COMPARISONS) <= set(OPERATIONS_BY_TYPE[m.type])
    )


def tag_columns() -> tuple[str, ...]:
    """Columns a tag may be copied from: texts of customers that are not personal."""
    customers = entities()["customers"]
    return tuple(
        f"customers.{column.name}"
        for column in customers.columns.values()
        if column.type == "text" and not column.personal and column.name not in customers.key
    )


class Tags(Closed):
    """Tags of customers."""

    completeness_target: Share = Field(
        description="Share of customers for whom a tag can be judged, and of all tags."
    )
    max_refresh_days: PositiveInt = Field(description="Longest refresh of a dynamic tag, in days.")
    revise_every: Duration = Field(description="How often tag weights are revised.")
    definitions: Annotated[list[Tag], Field(min_length=1)] = Field(description="The tags.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        mistakes: list[Mistake] = []
        seen: dict[str, str] = {}
        for i, tag in enumerate(self.definitions):
            loc = ("definitions", i)
            if tag.id == "overall":
                mistakes.append(Mistake((*loc, "id"), tag.id, "is the name of the line of all"))
            if tag.refresh_days and tag.refresh_days > self.max_refresh_days:
                message = f"is longer than max_refresh_days ({self.max_refresh_days})"
                mistakes.append(Mistake((*loc, "refresh_days"), tag.refresh_days, message))
            if tag.column is not None and tag.column not in tag_columns():
                message = "is not a column a tag can be copied from"
                mistakes.append(Mistake((*loc, "column"), tag.column, message, tag_columns()))
            if tag.most and tag.most in seen:
                message = f"is the rule of {seen[tag.most]} already"
                mistakes.append(Mistake((*loc, "most"), tag.most, message))
            if tag.most:
                seen[tag.most] = tag.id
        refuse(mistakes)
        return self


def _until(value: str) -> str:
    return value if value == "24:00" else _checked_time(value)


def _checked_time(value: str) -> str:
    for validator in TimeOfDay.__metadata__:
        value = validator.func(value)
    return value


class Daypart(Closed):
    """A part of the day, local to the program's zone."""

    id: Id = Field(description="Name in tables.")
    title: Text = Field(description="Name people read.")
    from_: TimeOfDay = Field(alias="from", description="When it begins.")
    until_: Annotated[str, AfterValidator(_until)] = Field(
        alias="until", description="When it ends; 24:00 is midnight."
    )

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.until_ <= self.from_:
            refuse([Mistake(("until",), self.until_, f"is not after from ({self.from_})")])
        return self


class ContactTimes(Closed):
    """How the time of day a customer prefers is found: when the same responses come in that show
    the preferred channel."""

    dayparts: Annotated[list[Daypart], Field(min_length=1)] = Field(
        description="Parts of the day in which customers may be contacted, in order."
    )
    min_events: PositiveInt = Field(
        description="Fewest responses in the parts of the day before behaviour counts."
    )
    fallback: Id = Field(description="Part of the day when nothing is known.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        mistakes = [
            Mistake(("dayparts", i + 1, "from"), later.from_, f"is before {part.id} ends")
            for i, (part, later) in enumerate(zip(self.dayparts, self.dayparts[1:], strict=False))
            if later.from_ < part.until_
        ]
        names = tuple(part.id for part in self.dayparts)
        if self.fallback not in names:
            mistakes.append(Mistake(("fallback",), self.fallback, "is no part of the day", names))
        refuse(mistakes)
        return self


class ChannelPreference(Closed):
    """How a customer's preferred channel is found."""

    channels: Annotated[list[Channel], Field(min_length=1)] = Field(
        description="Channels on which customers are contacted; of equal ones the first is "
        "preferred."
    )
    counts_as: dict[Id, Channel] = Field(
        default={}, description="Channel a response on another one speaks for, e.g. store: visit."
    )
    first: Literal["observed", "stated"] = Field(
        description="What counts first: how the customer responds, or what the customer asked for."
    )
    fallback: Annotated[list[Channel], Field(min_length=1)] = Field(
        description="Channels in the order tried when no preference is known."
    )
    window_days: PositiveInt = Field(description="Days of behaviour looked at.")
    min_events: PositiveInt = Field(description="Fewest responses before behaviour counts.")
    weights: Annotated[
        dict[Id, Annotated[float, Field(ge=0.001, le=1000)]], Field(min_length=1)
    ] = Field(
        description="Kinds of interactions that are responses, each with its weight, e.g. "
        "reply: 3. A follow-up the customer answered is of the kind of its method."
    )
    fit_target: Share = Field(description="Share of contacts to be on the preferred channel.")
    contact_times: ContactTimes = Field(description="How the preferred time of day is found.")

    @model_validator(mode="after")
    def _known_channels(self) -> Self:
        places: list[tuple[tuple[str | int, ...], Any]] = [
            *((("fallback", i), channel) for i, channel in enumerate(self.fallback)),
            *((("counts_as", name), channel) for name, channel in self.counts_as.items()),
        ]
        refuse(
            [
                Mistake(loc, channel, "is not one of channels", tuple(self.channels))
                for loc, channel in places
                if channel not in self.channels
            ]
        )
        return self
