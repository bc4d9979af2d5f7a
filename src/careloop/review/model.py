"""What a review is made of. Texts are in the review's language already."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "text", "number", "share", "money", "date", "state", "score", "by_unit", "change", "trend"
]
Tone = Literal["good", "bad", "info"]


@dataclass(frozen=True)
class Column:
    """A column of a table. key: of the rows' values; digits: decimals shown, in the page and in
    Excel. share: 0..1, shown in percent. state: met, on_track, missed, not_enough_data. by_unit:
    in the unit (careloop.program.kpis) the row's key ``unit`` says; change: a difference in it.
    trend: a list of numbers or None, the oldest first, drawn as a small line. under: in the page
    it stands with its title small below the column of that key; in Excel it is a column."""

    key: str
    title: str
    kind: Kind = "text"
    digits: int = 0
    under: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the review and its Excel sheet. rows: values by column key, unformatted; None is
    unknown. short: rows shown in the page, the rest only in Excel; 0: Excel only.

    Beside its values a row may have, for the page: <key>_note, small below the value; <key>_sign,
    before it (≥); <key>_tone, good or bad.
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    note: str = ""
    short: int | None = None


@dataclass(frozen=True)
class Chart:
    """A chart made by ``careloop.review.charts``. spec: Vega-Lite, with its data inside; alt:
    what it shows, in a sentence with its figures, for who cannot see it. is_half: half as wide as
    the page, beside the next one, where there is room."""

    id: str
    title: str
    spec: dict[str, Any]
    alt: str
    note: str = ""
    is_half: bool = False


@dataclass(frozen=True)
class Sentence:
    """A finding made from figures by rule. rank: the larger, the more it belongs in the
    headline; 0 stays in its section. 90 and more: a critical target missed or a gate broken; 60
    to 90: a target missed or met; 30 to 60: worth knowing. section: id of the section it is of,
    filled in for the headline. is_for_headline: a table of its section says it already, so it is
    not said there."""

    tone: Tone
    text: str
    rank: float = 0
    section: str = ""
    is_for_headline: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the review. blocks are shown in their order."""

    id: str
    title: str
    sentences: tuple[Sentence, ...] = ()
    blocks: tuple[Table | Chart, ...] = ()
    sections: tuple["Section", ...] = field(default=())
