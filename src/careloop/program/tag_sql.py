"""The rules of tags as SQL over one row per customer, for DuckDB and Spark alike.

The row has the measures of ``int_customer_profile`` under their names, columns of customers as
``customers_<column>``, of each kind of `most` ``<kind>_value``, ``_events``, ``_all_events``,
``_share`` and ``_last_on``, and the dates ``customer_updated_on`` and ``evaluated_on``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from careloop.program.conditions import (
    condition_sql,
    judged_sql,
    measure_text_sql,
    reason_sql,
    sql_literal,
)
from careloop.program.measures import MEASURES
from careloop.program.tags import ChannelPreference, Tag, Tags

YES = "'yes'"
_NOUNS = {
    "category": "purchases",
    "viewed_category": "views",
    "channel": "responses",
    "content": "pieces of content",
}
# Counts are 0 for everyone where nothing is loaded, which says nothing about a customer.
_NEEDS = {
    "tickets": ("tickets_", "complaints_", "open_tickets"),
    "interactions": ("interactions_", "logins_", "visits_", "engagements_", "dwell_"),
}


@dataclass(frozen=True)
class TagRule:
    """SQL of one tag. value: null without the tag; filled: whether the rule could be judged;
    evidence: text, for those who have it; evidence_on: date; applies: null for everyone."""

    tag: str
    value: str
    filled: str
    evidence: str
    evidence_on: str
    applies: str | None


def tag_rule(tag: Tag, preference: ChannelPreference) -> TagRule:
    """The SQL of a tag."""
    if tag.column is not None:
        parts = _column(tag)
    elif tag.when is not None:
        parts = _flag(condition_sql(tag.when), judged_sql(tag.when), reason_sql(tag.when))
    elif tag.measure is not None:
        parts = _bands(tag)
    else:
        parts = _most(tag, preference)
    other = {"person": "company", "company": "person"}.get(tag.applies_to or "")
    applies = f"customer_type is distinct from '{other}'" if other else None
    return TagRule(tag.id, *parts, applies)


def _column(tag: Tag) -> tuple[str, str, str, str]:
    name = f"customers_{tag.column.removeprefix('customers.')}"
    known, on = f"({name} is not null)", "customer_updated_on"
    if not tag.contains:
        return name, known, sql_literal(tag.column), on
    found = [
        (f"position({sql_literal(word.lower())} in lower({name})) > 0", f"{tag.column}: {word}")
        for word in tag.contains
    ]
    value = f"case when {' or '.join(test for test, _ in found)} then {YES} end"
    cases = " ".join(f"when {test} then {sql_literal(text)}" for test, text in found)
    return value, known, f"case {cases} end", on


def _flag(holds: str, judged: str, reason: str) -> tuple[str, str, str, str]:
    return (
        f"case when {holds} then {YES} end",
        judged,
        f"case when {holds} then {reason} end",
        "evaluated_on",
    )


def _bands(tag: Tag) -> tuple[str, str, str, str]:
    measure = MEASURES[tag.measure]
    cases = " ".join(
        f"when {measure.name} {'is not null' if band.from_ is None else f'>= {band.from_!r}'} "
        f"then {sql_literal(band.id)}"
        for band in tag.bands or ()
    )
    # Two decimals, as in reasons, would show 0.40 on both sides of a limit of 0.4.
    figure = f"cast(cast({measure.name} as decimal(18, 4)) as string)"
    text = figure if measure.type in ("ratio", "number") else measure_text_sql(measure)
    evidence = f"{sql_literal(measure.name + ' ')} || {text}"
    return f"case {cases} end", f"({measure.name} is not null)", evidence, "evaluated_on"


def _most(tag: Tag, preference: ChannelPreference) -> tuple[str, str, str, str]:
    kind = tag.most
    fewest = preference.min_events if kind == "channel" else tag.min_events
    judged = f"coalesce({kind}_all_events >= {fewest}, false)"
    enough = f"{judged} and {kind}_share >= {tag.min_share!r}" if tag.min_share else judged
    evidence = (
        f"cast({kind}_events as string) || ' of ' || cast({kind}_all_events as string) || "
        f"{sql_literal(' ' + _NOUNS[kind])}"
    )
    if kind == "channel":
        # Responses weigh differently, so the favourite need not have the most of them.
        evidence += f" || ', ' || cast(cast(100 * {kind}_share as integer) as string) || "
        evidence += "' % by weight'"
    return (
        f"case when {enough} then {kind}_value end",
        judged,
        f"case when {enough} then {evidence} end",
        f"{kind}_last_on",
    )


def tag_inputs(tags: Tags) -> Iterator[tuple[str, str, str | None]]:
    """What the rules look at: (`measure`, `column` or `most`; its name; the entity without which
    a count says nothing), each once and in a fixed order."""
    measures = {tag.measure for tag in tags.definitions if tag.measure}
    for tag in tags.definitions:
        measures |= {leaf.measure for leaf in tag.when.leaves()} if tag.when else set()
    for name in sorted(measures):
        yield "measure", name, needed_entity(name)
    for column in sorted({tag.column for tag in tags.definitions if tag.column}):
        yield "column", column.removeprefix("customers."), None
    for tag in tags.definitions:
        if tag.most:
            yield "most", tag.most, None


def needed_entity(measure: str) -> str | None:
    """The entity whose rows a count counts, where it can be missing."""
    return next((e for e, starts in _NEEDS.items() if measure.startswith(starts)), None)
