"""The review as one HTML file that needs nothing else: no network, and scripts only for comfort.

Charts are drawn twice: as SVG in the file, which is what mail previews, print and browsers
without scripts show, and live by Vega where scripts run, with tooltips and in the width at hand.
Scripts are allowed by their hash, so nothing that came in as text could ever run.
"""

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any
from unicodedata import east_asian_width

import vl_convert
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from careloop import __version__
from careloop.review.charts import CONFIG
from careloop.review.model import Chart, Column, Section, Sentence, Table
from careloop.review.reader import Reader, Row
from careloop.review.targets import STATES
from careloop.review.words import Words

# Widths the charts in the file are drawn in, px: of a printed page, and of half of it.
WIDE, HALF = 680, 330
_NUMERIC = ("number", "share", "money", "score", "by_unit", "change")
_SPARK = (96, 26)
# Texts up to so many characters, and small ones, stay in one line.
_SHORT, _SHORT_NOTE, _LONG = 12, 26, 36


def render(reader: Reader, headline: Section, sections: list[Section], run: Row) -> str:
    """The page. run: the row of rpt_run, with data_until (local) added."""
    say = Words("page", reader.language, reader.program)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_file("page.html.j2"))
    figures = [chart for section in sections for chart in _charts(section)]
    scripts = [Markup(vl_convert.javascript_bundle()), Markup(_file("page.js"))]
    return template.render(
        say=say,
        lang="zh-CN" if reader.language == "zh" else "en",
        title=f"{say(reader.period.kind)} {_period(say, reader)}",
        subject=getattr(reader.program.title, reader.language),
        style=Markup(_file("page.css")),
        policy=_policy(scripts),
        facts=_facts(say, reader, run),
        headline=_Headline(headline),
        sections=[_Part(section, say) for section in sections],
        states=STATES,
        specs=_json({chart.id: _slim(chart.spec) for chart in figures}),
        config=_json(CONFIG),
        bundle=scripts[0],
        script=scripts[1],
        short=_SHORT_NOTE,
        footer=say(
            "footer",
            version=__version__,
            run=run["run_id"],
            pack=reader.program.name,
            hash=run["pack_hash"],
        ),
    )


def _period(say: Words, reader: Reader) -> str:
    return say.period(reader.period.first_day, reader.period.kind)


def _facts(say: Words, reader: Reader, run: Row) -> list[tuple[str, str]]:
    """What the page is of, as names and values."""
    period = reader.period
    last = period.end_day.fromordinal(period.end_day.toordinal() - 1)
    days = say("days", first=say.date(period.first_day), last=say.date(last))
    if reader.until < period.end_day:
        days = f"{days} ({say('running')})"
    until = run["data_until"]
    return [
        (say("period"), days),
        (say("as_of"), f"{say.time(reader.as_of)}"),
        (say("data_until"), say.time(until) if until else say("unknown")),
    ]


class _Headline:
    """The headline as the template wants it."""

    def __init__(self, section: Section) -> None:
        self.title = section.title
        self.groups: list[tuple[str, list[Sentence]]] = [
            (tone, [s for s in section.sentences if s.tone == tone])
            for tone in ("bad", "good", "info")
        ]
        self.counts: dict[str, int] = {}
        for block in section.blocks:
            if isinstance(block, Table) and block.id == "targets_by_state":
                self.counts = {row["state"]: row["targets"] for row in block.rows}


class _Part:
    """A section as the template wants it."""

    def __init__(self, section: Section, say: Words) -> None:
        self.id = section.id
        self.title = section.title
        self.sentences = [s for s in section.sentences if not s.is_for_headline]
        self.blocks = [
            _Figure(block) if isinstance(block, Chart) else _Grid(block, say)
            for block in section.blocks
        ]
        self.parts = [_Part(part, say) for part in section.sections]

    @property
    def groups(self) -> list[tuple[str, list[Any]]]:
        """The blocks, charts of half width that follow one another together."""
        groups: list[tuple[str, list[Any]]] = []
        for block in self.blocks:
            kind = "half" if isinstance(block, _Figure) and block.is_half else block.kind
            if groups and kind == "half" == groups[-1][0]:
                groups[-1][1].append(block)
            else:
                groups.append((kind, [block]))
        return groups


class _Figure:
    """A chart as the template wants it."""

    kind = "chart"

    def __init__(self, chart: Chart) -> None:
        self.id, self.title, self.alt, self.note = chart.id, chart.title, chart.alt, chart.note
        self.is_half = chart.is_half
        self.svg = Markup(_svg(chart))


class _Grid:
    """A table as the template wants it: cells with their texts."""

    kind = "table"

    def __init__(self, table: Table, say: Words) -> None:
        self.id, self.title, self.note = table.id, table.title, table.note
        self.columns = [column for column in table.columns if not column.under]
        rows = table.rows if table.short is None else table.rows[: table.short]
        self.all = len(table.rows)
        self.is_filtered = table.id == "kpis"
        self.rows = [_Line(row, table, say) for row in rows]
        cells = [cell for row in self.rows for cell in row.cells]
        self.has_notes = any(cell["notes"] for cell in cells)
        long = {cell["title"] for cell in cells if cell["is_long"]}
        for cell in cells:
            cell["is_long"] = cell["title"] in long
        # Cells of several lines are read as cards on a phone; plain ones are better compared.
        self.is_cards = self.has_notes or bool(long)
        self.is_wide = len(self.columns) > 9
        self.states = [state for state in STATES if any(r.state == state for r in self.rows)]


class _Line:
    """A row of a table."""

    def __init__(self, row: Row, table: Table, say: Words) -> None:
        state = next((row.get(c.key) for c in table.columns if c.kind == "state"), None)
        self.state = state or ""
        self.cells = [
            _cell(row, column, [c for c in table.columns if c.under == column.key], say)
            for column in table.columns
            if not column.under
        ]


def _cell(row: Row, column: Column, below: list[Column], say: Words) -> dict[str, Any]:
    notes = [row.get(f"{column.key}_note", "")]
    for other in below:
        if row.get(other.key) is not None:
            texts = (other.title, say.cell(row, other), row.get(f"{other.key}_note", ""))
            notes.append(" ".join(text for text in texts if text))
    value = row.get(column.key)
    key = value
    if column.kind == "trend":
        text, key = _spark(value or [], row, say), None
    elif column.kind == "state" and value is not None:
        text, key = _badge(say, value), STATES.index(value)
    else:
        text = say.cell(row, column)
    return {
        "text": text,
        "key": "" if key is None else key,
        "notes": [line for note in notes if note for line in note.split("\n")],
        "tone": row.get(f"{column.key}_tone", ""),
        "kind": "number" if column.kind in _NUMERIC else column.kind,
        "title": column.title,
        "is_empty": value is None or value == [],
        "is_short": len(str(text)) <= _SHORT,
        "is_long": column.kind == "text" and _width(str(text)) > _LONG,
    }


def _width(text: str) -> int:
    """Of Chinese characters two each."""
    return len(text) + sum(east_asian_width(character) in "WF" for character in text)


def _badge(say: Words, state: str) -> Markup:
    return Markup('<span class="badge {}">{}</span>').format(state, say.state(state))


def _spark(values: list[float | None], row: Row, say: Words) -> Markup:
    """A line of a few points; gaps stay gaps."""
    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return Markup("–")
    width, height = _SPARK
    low, high = min(known), max(known)
    step = (width - 8) / (len(values) - 1)
    points = [
        None
        if value is None
        else (
            round(4 + i * step, 1),
            round(height - 4 - (height - 8) * (float(value) - low) / (high - low or 1), 1),
        )
        for i, value in enumerate(values)
    ]
    path, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        path.append(f"{pen}{point[0]:g} {point[1]:g}")
        pen = "L"
    last = next(point for point in reversed(points) if point)
    unit = row.get("unit") or "number"
    alt = say("trend_alt", first=say.value(known[0], unit), last=say.value(known[-1], unit))
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{alt}"><path d="{path}"/><circle cx="{x:g}" cy="{y:g}" r="3"/></svg>'
    ).format(w=width, h=height, alt=alt, path="".join(path), x=last[0], y=last[1])


def _charts(section: Section) -> list[Chart]:
    own = [block for block in section.blocks if isinstance(block, Chart)]
    return own + [chart for part in section.sections for chart in _charts(part)]


def _svg(chart: Chart) -> str:
    """The chart drawn; its ids are its own, for several are in one page."""
    spec = dict(chart.spec)
    if spec.get("width") == "container":
        spec["width"] = HALF if chart.is_half else WIDE
    spec["config"] = {**spec.get("config", {}), "aria": False}
    # The reader's font may be wider than the one the labels were measured with.
    spec["padding"] = {**spec["padding"], "left": spec["padding"]["left"] + 8}
    text = vl_convert.vegalite_to_svg(spec)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{chart.id}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{chart.id}-\1)", text)
    # Every text names its font; the page has one for all.
    text = re.sub(r' font-family="[^"]*"', "", text)
    return text.replace('class="marks"', 'class="still"', 1)


def _slim(spec: dict[str, Any]) -> dict[str, Any]:
    """Without what all charts share."""
    return {k: v for k, v in spec.items() if k != "$schema" and (k, v) != ("config", CONFIG)}


def _json(value: Any) -> Markup:
    """JSON that can stand in a script element."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _policy(scripts: list[Markup]) -> Markup:
    """What the browser may do with the page: run its own two scripts, and nothing from outside."""
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    return Markup(
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return files("careloop.review").joinpath(name).read_text("utf-8")
