"""Whether rules fit the program they belong to."""

from collections.abc import Iterator

from careloop.program.base import Mistake, repeated
from careloop.program.model import Program
from careloop.program.rules import Rule, Rules


def rule_mistakes(rules: Rules, program: Program) -> Iterator[Mistake]:
    """Everything in ``rules`` that names what the program does not have, each at its path."""
    ids = [rule.id for rule in rules.rules]
    for i in repeated(ids):
        yield Mistake(("rules", i, "id"), ids[i], "is used twice; ids are unique")
    for i, rule in enumerate(rules.rules):
        for loc, kind, name, known in _names(rule, program):
            if name not in known:
                yield Mistake(("rules", i, *loc), name, f"is no {kind} of this pack", known)


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
    if rule.offer:
        yield ("offer",), "offer", rule.offer, tuple(offer.id for offer in program.offers)
    if rule.trigger.occasion:
        occasions = tuple(o.id for o in program.calendar.occasions)
        yield ("trigger", "occasion", "name"), "occasion", rule.trigger.occasion.name, occasions
