"""One calibration: what is proposed, what it would do, and the proposed pack as a folder."""

import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from careloop.calibrate.clusters import clusters
from careloop.calibrate.contact import contact
from careloop.calibrate.dormancy import dormancy
from careloop.calibrate.draft import Draft
from careloop.calibrate.drift import drift
from careloop.calibrate.edit import CannotEdit, PackText
from careloop.calibrate.judge import judge
from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Calibration, Finding, Promise, Proposal, Words
from careloop.calibrate.rules import rules
from careloop.calibrate.say import Percent, join, say
from careloop.calibrate.segments import segments
from careloop.calibrate.service import service
from careloop.calibrate.standings import DIMENSIONS, Moves, dry_run
from careloop.durable import move_folder, restore
from careloop.errors import ProgramError
from careloop.program.load import load_program
from careloop.program.model import Program
from careloop.program.period import Period
from careloop.published import open_published, version_files
from careloop.settings import Settings

PROPOSALS = "proposals.json"
DIFF = "changes.diff"
Progress = Callable[[str], None]


def folder_of(settings: Settings, period: str) -> Path:
    """Where the calibration of a period is."""
    return settings.home / "reviews" / period / "calibration"


def calibrate(
    settings: Settings,
    program: Program,
    period: Period,
    *,
    version: str | None = None,
    progress: Progress = lambda _: None,
) -> Calibration:
    """What the period says about the numbers of the pack, from the current or a named published
    version. Writes ``reviews/<period>/calibration`` in the home; the pack itself stays as it is.
    Raises SettingsError where nothing fitting is published, ProgramError for a broken pack."""
    text = PackText.of(program)
    folder = folder_of(settings, period.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        closing(open_published(settings, version)) as con,
        tempfile.TemporaryDirectory(prefix=".calibration-", dir=folder.parent) as name,
    ):
        room = Path(name)
        marts = Marts.of(con, program, period, version_files(settings))
        drafts, findings = _drafts(marts, text, room, progress)
        progress("trying the proposals out")
        applied, _, drafts, refused = _applied(text, drafts, room)
        applied.write(room / "calibration")
        proposed = load_program(room / "calibration")
        together = dry_run(marts, program, proposed)
        proposals = tuple(_proposal(marts, text, draft, together, room) for draft in drafts)
        earlier = folder_of(settings, period.previous.name)
        restore(earlier)
        judged = judge(marts, earlier / PROPOSALS)
        result = Calibration(
            period=period.name,
            first_day=period.first_day,
            until=marts.until,
            as_of=marts.as_of,
            standings_as_of=marts.standings_as_of,
            pack=program.name,
            pack_hash=program.hash,
            proposed_hash=proposed.hash,
            customers=together.customers,
            proposals=proposals,
            findings=(*findings, *refused),
            judged=judged or (),
            judged_period=period.previous.name if judged is not None else None,
            shares=_share_rows(program, together),
            moves=together.rows(),
            summary=_summary(marts, proposals, together),
            diff=applied.diff(),
            pack_folder=folder,
        )
        _write(room / "calibration", folder, result)
    return result


def _drafts(
    marts: Marts, text: PackText, room: Path, progress: Progress
) -> tuple[list[Draft], list[Finding]]:
    progress("how long customers stay away")
    days, findings = dormancy(marts, text)
    # Thresholds are looked for as things are once the days have changed.
    with_days, program, days, refused = _applied(text, days, room)
    findings += refused
    if not marts.is_over:
        findings.append(Finding("period", "segments", say("running", until=marts.until)))
    elif marts.standings_as_of.date() > marts.period.end_day:
        findings.append(
            Finding("period", "segments", say("standings_late", day=marts.standings_as_of.date()))
        )
    progress("shares of the segments")
    index, shifted = drift(marts)
    steps, told = segments(marts, program, with_days, index)
    findings += [*told, *shifted]
    drafts = days + steps
    for name, look in (("clusters", _clusters), ("answers to messages", contact),
                       ("effect of the rules", rules), ("service targets", service)):  # fmt: skip
        progress(name)
        found, told = look(marts)
        drafts += found
        findings += told
    return drafts, findings


def _clusters(marts: Marts) -> tuple[list[Draft], list[Finding]]:
    return [], clusters(marts)


def _applied(
    text: PackText, drafts: list[Draft], room: Path
) -> tuple[PackText, Program, list[Draft], list[Finding]]:
    """The pack with the changes of the drafts as text and as read again, those that are in it,
    and a finding for each that can't be written or would not be a valid pack."""
    if not drafts:
        return text.copy(), text.program, [], []
    try:
        applied = text.copy()
        for draft in drafts:
            applied.apply(draft.change)
        return applied, _loaded(applied, room), drafts, []
    except ProgramError:
        return _applied_singly(text, drafts, room)


def _applied_singly(
    text: PackText, drafts: list[Draft], room: Path
) -> tuple[PackText, Program, list[Draft], list[Finding]]:
    applied, program, kept, refused = text.copy(), text.program, [], []
    for draft in drafts:
        trial = applied.copy()
        try:
            trial.apply(draft.change)
            program = _loaded(trial, room)
        except ProgramError as error:
            refused.append(_refused(draft, error))
            continue
        applied = trial
        kept.append(draft)
    return applied, program, kept, refused


def _loaded(text: PackText, room: Path) -> Program:
    with tempfile.TemporaryDirectory(dir=room) as folder:
        return text.load(Path(folder))


def _refused(draft: Draft, error: ProgramError) -> Finding:
    reason = str(error).splitlines()[0 if isinstance(error, CannotEdit) else -1].strip()
    text = say("by_hand", title=draft.title, evidence=draft.evidence, reason=reason)
    return Finding(draft.id, draft.part, text)


def _proposal(marts: Marts, text: PackText, draft: Draft, together: Moves, room: Path) -> Proposal:
    least = marts.program.calibration.min_cases
    if not marts.is_over:
        draft.caveats.append(say("running", until=marts.until))
    if draft.effect is not None:
        return draft.done(draft.effect, draft.promises, least)
    alone_text = text.copy()
    alone_text.apply(draft.change)
    alone = dry_run(marts, marts.program, _loaded(alone_text, room))
    promises = [*draft.promises, *_promises(alone, together)]
    draft.figures["moves"] = list(alone.rows())
    before, after = (_outside(marts.program, alone, after=x) for x in (False, True))
    if after > before + marts.program.calibration.share_tolerance / 10:
        draft.doubt("away_from_shares", before=Percent(before), after=Percent(after))
    return draft.done(_effect(marts.program, alone), promises, least)


def _promises(alone: Moves, together: Moves) -> list[Promise]:
    """The shares this proposal moves."""
    found = []
    for dimension in DIMENSIONS:
        before, after = (alone.shares(dimension, after=x) for x in (False, True))
        all_of_them = together.shares(dimension, after=True)
        for value in {**before, **after}:
            b, a = before.get(value, 0.0), after.get(value, 0.0)
            if b != a:
                t = all_of_them.get(value, 0.0)
                figure = f"{dimension}_share:{value}"
                found.append(Promise(figure, round(b, 6), round(a, 6), round(t, 6)))
    return sorted(found, key=lambda promise: promise.figure)


def _outside(program: Program, moves: Moves, *, after: bool) -> float:
    """Share of the customers beyond the expected sizes of the segments."""
    shares = moves.shares("segment", after=after)
    expected = {s.id: s.expected_share for s in program.segments if s.expected_share is not None}
    return round(sum(abs(shares.get(s, 0.0) - e) for s, e in expected.items()) / 2, 9)


def _effect(program: Program, moves: Moves) -> Words:
    """Who moves, in words."""
    parts = []
    for dimension, ordered in (("segment", program.segments), ("stage", program.stages)):
        number = moves.moved(dimension)
        if not number:
            continue
        before, after = (moves.shares(dimension, after=x) for x in (False, True))
        shares = [
            say(
                "share_from_to",
                name=Words(rule.title.en, rule.title.zh),
                before=Percent(before.get(rule.id, 0.0)),
                after=Percent(after.get(rule.id, 0.0)),
            )
            for rule in ordered
            if before.get(rule.id, 0.0) != after.get(rule.id, 0.0)
        ]
        told = join(shares, ", ", "，")
        parts.append(say("moves", dimension=say(f"name_{dimension}"), number=number, shares=told))
    return join(parts) if parts else say("nobody_moves")


def _share_rows(program: Program, moves: Moves) -> tuple[dict[str, Any], ...]:
    rows = []
    for dimension, ordered in (("segment", program.segments), ("stage", program.stages)):
        before, after = (moves.shares(dimension, after=x) for x in (False, True))
        rows += [
            {
                "dimension": dimension,
                "value": rule.id,
                "title": {"en": rule.title.en, "zh": rule.title.zh},
                "share": round(before.get(rule.id, 0.0), 6),
                "proposed_share": round(after.get(rule.id, 0.0), 6),
                "expected_share": getattr(rule, "expected_share", None),
            }
            for rule in ordered
        ]
    return tuple(rows)


def _summary(marts: Marts, proposals: tuple[Proposal, ...], together: Moves) -> Words:
    if not proposals:
        return say("nothing", period=marts.period.name)
    number = together.moved("segment")
    key = "something_one" if len(proposals) == 1 else "something"
    told = say(key, proposals=len(proposals), customers=number, of=together.customers)
    return told if number else say(f"{key}_still", proposals=len(proposals))


def _write(made: Path, folder: Path, result: Calibration) -> None:
    """The proposed pack, the diff and the proposals, in place of those of an earlier run."""
    (made / DIFF).write_bytes(result.diff.encode("utf-8"))
    data = json.dumps(result.as_data(), ensure_ascii=False, indent=2, default=str)
    (made / PROPOSALS).write_text(data + "\n", "utf-8")
    move_folder(made, folder)
