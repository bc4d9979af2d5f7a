"""Proposals for the thresholds of the segments."""

from careloop.calibrate.draft import Draft
from careloop.calibrate.edit import Change, PackText
from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Column, Finding, Words
from careloop.calibrate.say import Given, Percent, join, say
from careloop.calibrate.standings import dry_run
from careloop.calibrate.thresholds import Search, Step, leaves, search
from careloop.program.load import FILE
from careloop.program.model import Program


def segments(
    marts: Marts, program: Program, text: PackText, index: float | None
) -> tuple[list[Draft], list[Finding]]:
    """Thresholds that bring the shares nearer to the expected ones, where one is further off than
    ``calibration.share_tolerance``. program, text: the pack as the other proposals leave it;
    index: how far the segments have drifted, None if unknown."""
    rules = program.calibration
    customers = marts.one("select count(*) from customers")
    if customers < rules.min_cases:
        told = say("few_customers", found=customers, needed=rules.min_cases)
        return [], [_finding("few", told)]
    expected = {s.id: s.expected_share for s in program.segments if s.expected_share is not None}
    if not expected:
        return [], [_finding("unexpected", say("no_expected"))]
    found = search(marts, program, leaves(program, text, rules.max_threshold_change))
    changed = program is not marts.program
    now = dry_run(marts, marts.program, program).shares("segment", after=False)
    table = _shares(program, found, now, changed)
    worst = max(expected, key=lambda s: (round(abs(found.shares_before[s] - expected[s]), 9), s))
    gap = abs(found.shares_before[worst] - expected[worst])
    named = {
        "given": say("with_days") if changed else say("none"),
        "name": _title(program, worst),
        "share": Percent(found.shares_before[worst]),
        "expected": Given(expected[worst]),
        "tolerance": Given(rules.share_tolerance),
    }
    if gap <= rules.share_tolerance:
        return [], [_finding("shares", say("shares_fit", **named), "good", table)]
    if not found.steps:
        most = Given(rules.max_threshold_change)
        told = say("shares_stuck", **named, leaves=found.leaves, most=most)
        return [], [_finding("shares", told, "bad", table)]
    told = say(
        "shares_off",
        **named,
        steps=len(found.steps),
        before=Percent(found.distance_before / 2),
        after=Percent(found.distance_after / 2),
    )
    drafts = [_draft(program, found, step, customers, index) for step in found.steps]
    return drafts, [_finding("shares", told, "bad", table)]


def _draft(
    program: Program, found: Search, step: Step, customers: int, index: float | None
) -> Draft:
    leaf, rules = step.leaf, program.calibration
    expected = {s.id: s.expected_share for s in program.segments if s.expected_share is not None}
    concerned = [
        s
        for s in expected
        if round(abs(found.shares_before[s] - found.shares_after[s]), 9) > 0 or s == leaf.segment
    ]
    shares = [
        say(
            "share_against",
            name=_title(program, s),
            share=Percent(found.shares_before[s]),
            expected=Given(expected[s]),
        )
        for s in concerned
    ]
    measure = Words(leaf.measure.about_en, leaf.measure.about_zh)
    draft = Draft(
        ".".join(map(str, leaf.keys)),
        "segments",
        say(
            "threshold_title",
            name=_title(program, leaf.segment),
            measure=measure,
            sign=say(f"sign_{leaf.operation}"),
            old=leaf.value,
            new=step.new,
        ),
        Change(FILE, leaf.keys, leaf.value, step.new),
        say(
            "threshold_evidence",
            shares=join(shares),
            customers=customers,
            candidates=len(leaf.candidates),
            low=leaf.candidates[0],
            high=leaf.candidates[-1],
        ),
        {
            "measure": leaf.measure.name,
            "operation": leaf.operation,
            "customers": customers,
            "shares": {s: round(v, 6) for s, v in found.shares_before.items()},
            "expected": expected,
            "candidates": len(leaf.candidates),
            "gap_before": round(found.distance_before, 6),
            "gap_after": round(found.distance_after, 6),
        },
        customers,
    )
    if step.limited:
        draft.doubt("at_limit", most=Given(rules.max_threshold_change))
    if index is None:
        draft.doubt("no_history")
    elif index > rules.max_drift:
        draft.doubt("drifting", index=round(index, 3), limit=rules.max_drift)
    if len(found.steps) > 1:
        draft.caveats.append(say("one_of_several", steps=len(found.steps)))
    return draft


def _shares(program: Program, found: Search, now: dict[str, float], changed: bool) -> Finding:
    columns = (
        Column("segment", say("name_segment")),
        Column("share", say("column_share_now"), "share", 1),
        Column("expected", say("column_expected"), "share", 1),
        *([Column("days", say("column_days"), "share", 1)] if changed else []),
        Column("then", say("column_then"), "share", 1),
    )
    rows = tuple(
        {
            "segment": _title(program, s.id),
            "share": now.get(s.id, 0.0),
            "days": found.shares_before[s.id],
            "expected": s.expected_share,
            "then": found.shares_after[s.id],
        }
        for s in program.segments
    )
    return Finding(
        "segments.shares", "segments", say("none"), "info", say("shares_title"), columns, rows
    )


def _title(program: Program, segment: str) -> Words:
    title = next(s.title for s in program.segments if s.id == segment)
    return Words(title.en, title.zh)


def _finding(name: str, text: Words, tone: str = "info", table: Finding | None = None) -> Finding:
    if table is None:
        return Finding(f"segments.{name}", "segments", text, tone)
    return Finding(table.id, "segments", text, tone, table.title, table.columns, table.rows)
