"""What a calibration says. Texts are in both languages; figures beside them."""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from careloop.calibrate.edit import Change

Confidence = Literal["high", "medium", "low"]
Part = Literal["dormancy", "segments", "clusters", "contact", "rules", "service"]


@dataclass(frozen=True)
class Words:
    """A text in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Promise:
    """A figure a proposal foresees. figure: its name, like segment_share:core; before: as it was;
    alone: with this proposal only; together: with all of them. better: near is a share to be met,
    less and more say which way is better."""

    figure: str
    before: float | None
    alone: float | None
    together: float | None
    better: Literal["near", "less", "more"] = "near"


@dataclass(frozen=True)
class Proposal:
    """A change of the pack that a person may take. id: the same in every quarter for the same
    value; figures: what evidence and effect are made from."""

    id: str
    part: Part
    title: Words
    changes: tuple[Change, ...]
    evidence: Words
    effect: Words
    figures: dict[str, Any]
    confidence: Confidence
    caveats: tuple[Words, ...] = ()
    promises: tuple[Promise, ...] = ()


@dataclass(frozen=True)
class Column:
    """A column of a table. kind: text, number, share (0..1), days or score."""

    key: str
    title: Words
    kind: str = "text"
    digits: int = 0


@dataclass(frozen=True)
class Finding:
    """What the quarter says about a part of the pack, without a change of its own. tone: good,
    bad or info."""

    id: str
    part: Part
    text: Words
    tone: Literal["good", "bad", "info"] = "info"
    title: Words | None = None
    columns: tuple[Column, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Kept:
    """A figure of an earlier promise and what became of it."""

    figure: str
    title: Words
    before: float | None
    promised: float | None
    actual: float | None
    verdict: Literal["kept", "better", "not_kept", "unknown"]


@dataclass(frozen=True)
class Judged:
    """A proposal of the period before. state: accepted, partly, not_taken, or waiting: taken, but
    no marts have been built with it."""

    id: str
    title: Words
    state: Literal["accepted", "partly", "not_taken", "waiting"]
    changes: tuple[str, ...]
    kept: tuple[Kept, ...]
    text: Words


@dataclass(frozen=True)
class Calibration:
    """The calibration of a period. until: the first local day not seen; standings_as_of: of the
    version that says where customers stand; shares: per dimension
    (segment, stage) the shares now and with every proposal; pack_folder: the proposed pack."""

    period: str
    first_day: date
    until: date
    as_of: datetime
    standings_as_of: datetime
    pack: str
    pack_hash: str
    proposed_hash: str
    customers: int
    proposals: tuple[Proposal, ...]
    findings: tuple[Finding, ...]
    judged: tuple[Judged, ...]
    judged_period: str | None
    shares: tuple[dict[str, Any], ...]
    moves: tuple[dict[str, Any], ...]
    summary: Words
    diff: str
    pack_folder: Path = field(compare=False)

    def as_data(self) -> dict[str, Any]:
        """Everything but where it lies, as what JSON knows."""
        data = asdict(self)
        del data["pack_folder"]
        for proposal, own in zip(data["proposals"], self.proposals, strict=True):
            for change, made in zip(proposal["changes"], own.changes, strict=True):
                change["path"] = made.path
        return data
