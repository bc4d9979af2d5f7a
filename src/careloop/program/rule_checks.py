"""Whether rules fit the program they belong to."""

from collections.abc import Iterator

from careloop.program.base import Mistake, repeated
from careloop.program.model import Program
from careloop.program.rules import Rule, Rules
from careloop.program.tags import Tag


def rule_mistakes(rules: Rules, program: Program) -> Iterator[Mistake]:
    """Everything in ``rules`` that names what the program does not have, each at its path."""
    ids = [rule.id for rule in rules.rules]
    for i in repeated(ids):
        yield Mistake(("rules", i, "id"), ids[i], "is used twice; ids are unique")
    for i, rule in enumerate(rules.rules):
        for loc, kind, name, known in _names(rule, program):
            if name not in known:
                yield Mistake(("rules", i, *loc), name, f"is no {kind} of this pack", known)
        yield from _tag_values(i, rule, program)


def _tag_values(position: int, rule: Rule, program: Program) -> Iterator[Mistake]:
    """Values of tags that are none; those of copied columns and of what is bought can't be told."""
    values = {tag.id: _values(tag) for tag in program.tags.definitions}
    for i, tag in enumerate(rule.audience.tags):
        name, sign, value = tag.partition("=")
        known = values.get(name, ())
        if sign and known and value not in known:
            loc = ("rules", position, "audience", "tags", i)
            yield Mistake(loc, tag, f"is no value of {name}", tuple(f"{name}={v}" for v in known))


def _values(tag: Tag) -> tuple[str, ...]:
    if tag.when is not None or tag.contains is not None:
        return ("yes",)
    return tuple(part.id for part in [*(tag.bands or []), *(tag.forms or [])])


def _names(rule: Rule, program: Program) -> Iterator[tuple[tuple, str, str, tuple[str, ...]]]:
    """Path, kind and name of everything a rule refers to, with what there is."""
    lists = {
        "segments": ("segment", tuple(s.id for s in program.segments)),
        "stages": ("stage", tuple(s.id for s in program.stages)),
        "tiers": ("tier", tuple(t.id for t in program.loyalty.tiers) if program.loyalty else ()),
        "alert_levels": ("alert level", tuple(level.level for level in program.churn.levels)),
        "tags": ("tag", tuple(tag.id for tag in program.tags.definitions)),
    }
    parts = [("audience", rule.audience)]
    if rule.trigger.entered:
        parts.append(("trigger.entered", rule.trigger.entered))
    for path, part in parts:
        for key, (kind, known) in lists.items():
            for i, name in enumerate(getattr(part, key, [])):
                yield (*path.split("."), key, i), kind, name.partition("=")[0], known
    if rule.trigger.event:
        touchpoints = tuple(touchpoint.id for touchpoint in program.touchpoints)
        for i, name in enumerate(rule.trigger.event.touchpoints):
            yield ("trigger", "event", "touchpoints", i), "touchpoint", name, touchpoints
    if rule.offer:
        yield ("offer",), "offer", rule.offer, tuple(offer.id for offer in program.offers)
    if rule.trigger.occasion:
        occasions = tuple(o.id for o in program.calendar.occasions)
        yield ("trigger", "occasion", "name"), "occasion", rule.trigger.occasion.name, occasions
