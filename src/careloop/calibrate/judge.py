"""What became of the proposals of the period before: taken or not, and whether they kept what they
promised."""

import json
from pathlib import Path
from typing import Any

from careloop.calibrate.contact import TABLE as DELIVERIES
from careloop.calibrate.contact import cap_fatigue
from careloop.calibrate.dormancy import KINDS, returns
from careloop.calibrate.edit import value_at
from careloop.calibrate.marts import Marts
from careloop.calibrate.model import Judged, Kept, Words
from careloop.calibrate.rules import rule_answers
from careloop.calibrate.say import Percent, join, say
from careloop.calibrate.service import met_share
from careloop.errors import SettingsError

MOVES = ("segment_share", "stage_share")
COUNTS = ("rule_messages",)


def judge(marts: Marts, file: Path) -> tuple[Judged, ...] | None:
    """Every proposal of an earlier ``proposals.json`` judged by today's pack and marts; None
    where there is no such file. Raises SettingsError where it can't be read."""
    if not file.is_file():
        return None
    try:
        data = json.loads(file.read_text("utf-8"))
        earlier, pack_hash = data["proposals"], data["pack_hash"]
    except (json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file} is not what a calibration wrote: {error}", "calibrate that period again"
        ) from error
    states = [_state(marts, proposal) for proposal in earlier]
    if marts.pack_hash == pack_hash:
        # Nothing was built with what was taken: it can't have done anything.
        states = [state if state == "not_taken" else "waiting" for state in states]
    moving = [s for s, p in zip(states, earlier, strict=True) if _moves(p)]
    together = all(state == "accepted" for state in moving)
    return tuple(
        _judged(marts, proposal, state, together)
        for proposal, state in zip(earlier, states, strict=True)
    )


def _moves(proposal: dict[str, Any]) -> bool:
    return any(p["figure"].partition(":")[0] in MOVES for p in proposal["promises"])


def _state(marts: Marts, proposal: dict[str, Any]) -> str:
    """accepted: the pack has the proposed values; partly: neither these nor the old ones;
    not_taken: the old ones."""
    now = [value_at(marts.program, c["file"], tuple(c["keys"])) for c in proposal["changes"]]
    pairs = list(zip(now, proposal["changes"], strict=True))
    if all(value == c["new"] for value, c in pairs):
        return "accepted"
    return "not_taken" if all(value in (c["old"], None) for value, c in pairs) else "partly"


def _judged(marts: Marts, proposal: dict[str, Any], state: str, together: bool) -> Judged:
    title = Words(**proposal["title"])
    kept = ()
    if state in ("accepted", "partly"):
        kept = tuple(_kept(marts, promise, together) for promise in proposal["promises"])
    words = [
        say(
            "kept_figure",
            name=k.title,
            verdict=say(f"verdict_{k.verdict}"),
            promised=_shown(k, k.promised),
            actual=_shown(k, k.actual),
        )
        for k in kept
    ]
    text = say(f"state_{state}", title=title)
    if words:
        text = Words(f"{text.en}: {join(words).en}", f"{text.zh}：{join(words).zh}")
    elif state in ("accepted", "partly"):
        text = Words(f"{text.en}: {say('no_promise').en}", f"{text.zh}：{say('no_promise').zh}")
    changes = tuple(f"{c['path']}: {c['old']} → {c['new']}" for c in proposal["changes"])
    return Judged(proposal["id"], title, state, changes, kept, text)


def _kept(marts: Marts, promise: dict[str, Any], together: bool) -> Kept:
    figure = promise["figure"]
    promised = promise["together" if together else "alone"]
    actual = measured(marts, figure)
    tolerance = marts.program.calibration.share_tolerance
    verdict = _verdict(promise["before"], promised, actual, promise["better"], tolerance)
    rounded = None if actual is None else round(actual, 6)
    return Kept(figure, _title(marts, figure), promise["before"], promised, rounded, verdict)


def _verdict(
    before: float | None,
    promised: float | None,
    actual: float | None,
    better: str,
    tolerance: float,
) -> str:
    """kept: a share within the tolerance of the promise and nearer to it than before; of what
    should be small or large, at least as good, give or take that share of it. better: nearer to
    the promise than before."""
    if actual is None or promised is None:
        return "unknown"
    room = tolerance if better == "near" else tolerance * abs(promised)
    gap = {
        "near": abs(actual - promised),
        "less": actual - promised,
        "more": promised - actual,
    }[better]
    away = None if before is None else abs(before - promised)
    if gap <= room + 1e-9 and (better != "near" or not away or gap < away):
        return "kept"
    if away is not None and abs(actual - promised) < away:
        return "better"
    return "not_kept"


def measured(marts: Marts, figure: str) -> float | None:
    """A promised figure as it is in these marts; None where it can't be had."""
    kind, _, of = figure.partition(":")
    if kind in MOVES:
        column = kind.removesuffix("_share")
        sql = f"select count(*) filter (where {column} = $of) / count(*) from customers"
        return marts.one(sql, {"of": of})
    if kind == "returns_within":
        found = returns(marts, of)
        return found.within(getattr(marts.program.activity, of)) if found else None
    if kind == "clock_met":
        return met_share(marts, of)
    if not marts.has(DELIVERIES):
        return None
    if kind == "rule_messages":
        return float(rule_answers(marts, of).messages)
    if kind == "cap_fatigue":
        cap = next((c for c in marts.program.caps.limits if c.id == of), None)
        return cap_fatigue(marts, cap) if cap else None
    return None


def _title(marts: Marts, figure: str) -> Words:
    kind, _, of = figure.partition(":")
    program = marts.program
    lists = {
        "segment_share": program.segments,
        "stage_share": program.stages,
        "clock_met": program.sla.clocks,
        "rule_messages": program.rules,
    }
    found = next((item.title for item in lists.get(kind, ()) if item.id == of), None)
    name = Words(found.en, found.zh) if found else Words(of, of)
    if of in KINDS:
        name = say(f"name_{of}")
    return say(f"figure_{kind}", name=name)


def _shown(kept: Kept, value: float | None) -> Any:
    if value is None:
        return "–"
    return round(value) if kept.figure.partition(":")[0] in COUNTS else Percent(value)
