"""What a review is made of. Texts are in the review's language already."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "number", "share", "money", "date", "state", "score"]
Tone = Literal["good", "bad", "info"]


@dataclass(frozen=True)
class Column:
    """A column of a table. key: of the rows' values; digits: decimals shown, in the page and in
    Excel. share: 0..1, shown in percent."""

    key: str
    title: str
    kind: Kind = "text"
    digits: int = 0


@dataclass(frozen=True)
class Table:
    """A table of the review and its Excel sheet. rows: values by column key, unformatted; None is
    unknown. short: rows shown in the page, the rest only in Excel."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[dict[str, Any], ...]
    note: str = ""
    short: int | None = None


@dataclass(frozen=True)
class Chart:
    """A chart. spec: Vega-Lite, with its data inside; alt: what it shows, in a sentence with its
    figures, for who cannot see it."""

    id: str
    title: str
    spec: dict[str, Any]
    alt: str
    note: str = ""


@dataclass(frozen=True)
class Sentence:
    """A finding made from figures by rule. rank: the larger, the more it belongs in the
    headline; 0 stays in its section."""

    tone: Tone
    text: str
    rank: float = 0


@dataclass(frozen=True)
class Section:
    """A part of the review. blocks are shown in their order."""

    id: str
    title: str
    sentences: tuple[Sentence, ...] = ()
    blocks: tuple[Table | Chart, ...] = ()
    sections: tuple["Section", ...] = field(default=())
