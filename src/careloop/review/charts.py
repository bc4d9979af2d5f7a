"""Charts of a review as Vega-Lite specifications, made with Altair in one theme.

Every function takes the words (axes and tooltips are in the review's language) and rows of plain
values. Colours keep apart for colour-blind people and in black and white; what they mean is also
said by shape, dash, fill or a number. Widths follow the page except for ``radar``.

Unit: one of careloop.program.kpis, or number. Labels are texts people read, in the order wanted.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from careloop.review.reader import Row
from careloop.review.words import Words

INK, SOFT, LINE, PAPER = "#1f2933", "#5b6673", "#dfe4ea", "#ffffff"
BLUE, ORANGE, PALE, GREY = "#1f5f99", "#c2530a", "#a9c8e4", "#8a94a0"
SERIES = (BLUE, ORANGE, "#00765e", "#7b4b94", "#3f4750", "#a0760a")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [12, 3])
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
RAMP = ("#eef4fa", "#c5dcef", "#8fbbdd", "#4f8fc2", "#1f5f99", "#0d3c66")
# Steps of one colour, dark to pale, for parts that have an order.
STEPS = ("#12395f", "#2f74ad", "#79afd8", "#bcd6ec", "#e6edf4", "#c9ced4")
FONT = (
    'system-ui, -apple-system, "Segoe UI", "PingFang SC", "Hiragino Sans GB", '
    '"Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", sans-serif'
)
# Effects are smaller than what they are effects on.
EFFECT_DIGITS = {"share": 2, "score_5": 3, "score_100": 2, "nps": 2, "hours": 2, "days": 2}
ROW = 30  # height of a bar's row, px

CONFIG: dict[str, Any] = {
    "background": None,
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT,
        "labelFontSize": 12,
        "titleColor": SOFT,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": LINE,
        "domainColor": "#b4bcc6",
        "tickColor": "#b4bcc6",
        "labelLimit": 170,
    },
    "axisY": {"domain": False, "ticks": False},
    "axisX": {"grid": False, "labelSeparation": 8},
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 240,
        "symbolSize": 90,
        "symbolStrokeWidth": 2,
        "symbolOpacity": 1,
        "columnPadding": 16,
    },
    "text": {"color": INK, "fontSize": 12},
}


def trend(
    say: Words,
    rows: Sequence[Row],
    unit: str,
    *,
    benchmark: float | None = None,
    height: int = 190,
) -> dict[str, Any]:
    """Lines over periods. rows: period (its label), value or None, and optionally series,
    target (dashed, may step), low and high (interval), is_over (False: drawn hollow)."""
    order = _order(rows, "period")
    series = [name for name in _order(rows, "series") if name is not None]
    data = [
        {
            "period": row["period"],
            "value": _plain(row["value"]),
            "text": say.value(row["value"], unit),
            "series": row.get("series") or "",
            "target": _plain(row.get("target")),
            "low": _plain(row.get("low")),
            "high": _plain(row.get("high")),
            "over": bool(row.get("is_over", True)),
            "about": "" if row.get("is_over", True) else say("running"),
        }
        for row in rows
    ]
    known = [row for row in data if row["value"] is not None]
    x = alt.X("period:O", sort=order, title=None, axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, padding=14), axis=_axis(say, unit))
    has_levels = benchmark is not None or any(row["target"] is not None for row in data)
    colour, dash, shape = _series(series, has_levels)
    tip = [_tip("period", say("period")), _tip("text", say("now_value"))]
    if series:
        tip.insert(0, _tip("series", say("series")))
    if any(row["about"] for row in data):
        tip.append(_tip("about", " "))
    layers = _levels(say, data, unit, benchmark, x)
    if any(row["low"] is not None and row["high"] is not None for row in known):
        layers.append(
            alt.Chart(_data([r for r in known if r["low"] is not None]))
            .mark_rule(strokeWidth=5, opacity=0.18, color=BLUE)
            .encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q")
        )
    base = alt.Chart(_data(data))
    layers.append(base.mark_line(strokeWidth=2.25).encode(x=x, y=y, color=colour, strokeDash=dash))
    marks = alt.Chart(_data(known))
    layers.append(
        marks.mark_point(size=50, strokeWidth=2, fill=PAPER, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, tooltip=tip
        )
    )
    full = [row for row in known if row["over"]]
    if not series:
        layers.append(
            alt.Chart(_data(full))
            .mark_point(size=50, strokeWidth=2, color=BLUE, fill=BLUE, opacity=1)
            .encode(x=x, y=y, tooltip=tip)
        )
        place = {"dx": 12, "dy": -14, "align": "right", "fontWeight": "bold"}
        last = alt.Chart(_data(known[-1:])).encode(x=x, y=y, text="text:N")
        layers += [
            last.mark_text(**place, stroke=PAPER, strokeWidth=4),
            last.mark_text(**place),
        ]
    chart = alt.layer(*layers)
    if series and has_levels:
        chart = chart.resolve_scale(strokeDash="independent")
    return _spec(chart, height)


def bars(say: Words, rows: Sequence[Row], unit: str) -> dict[str, Any]:
    """Horizontal bars with their numbers. rows: label, actual, and optionally expected (drawn as
    a stroke across)."""
    order = [row["label"] for row in rows]
    names = [say("actual"), say("expected")]
    data = [
        {
            "label": row["label"],
            "actual": _plain(row["actual"]),
            "text": say.value(row["actual"], unit),
            "expected": _plain(row.get("expected")),
            "expected_text": say.value(row.get("expected"), unit),
            "bar": names[0],
            "stroke": names[1],
        }
        for row in rows
    ]
    has_expected = any(row["expected"] is not None for row in data)
    most = max((max(row["actual"] or 0, row["expected"] or 0) for row in data), default=0)
    y = alt.Y("label:N", sort=order, title=None)
    scale = alt.Scale(domain=names, range=[BLUE, INK])
    legend = alt.Legend(symbolType="square") if has_expected else None
    tip = [_tip("label", " "), _tip("text", names[0])]
    if has_expected:
        tip.append(_tip("expected_text", names[1]))
    base = alt.Chart(_data(data))
    layers = [
        base.mark_bar(height=14).encode(
            x=alt.X("actual:Q", title=None, axis=_axis(say, unit, grid=True)),
            y=y,
            color=alt.Color("bar:N", scale=scale, legend=legend),
            tooltip=tip,
        ),
        _bar_ends(base, y, has_expected, most),
    ]
    if has_expected:
        layers.append(
            alt.Chart(_data([row for row in data if row["expected"] is not None]))
            .mark_tick(thickness=3, height=24, opacity=1)
            .encode(
                x=alt.X("expected:Q", title=None),
                y=y,
                color=alt.Color("stroke:N", scale=scale, legend=legend),
                tooltip=tip,
            )
        )
    return _spec(alt.layer(*layers), ROW * len(order), right=64)


def effects(say: Words, rows: Sequence[Row], unit: str) -> dict[str, Any]:
    """What a change is made of: per row a full bar (rate effect) and a hollow one (mix effect)
    with their numbers, of shares in percentage points. rows: label, rate, mix."""
    order = [row["label"] for row in rows]
    kinds = [say("rate_effect"), say("mix_effect")]
    data = [
        {
            "label": row["label"],
            "kind": kind,
            "effect": float(row[key] or 0),
            "text": say.signed(row[key], unit, EFFECT_DIGITS.get(unit, 1)),
            "tip": say.change(row[key], unit, EFFECT_DIGITS.get(unit)),
        }
        for row in rows
        for kind, key in zip(kinds, ("rate", "mix"), strict=True)
    ]
    base = alt.Chart(_data(data))
    y = alt.Y("label:N", sort=order, title=None)
    x = alt.X(
        "effect:Q",
        title=None,
        scale=alt.Scale(padding=52),
        axis=_axis(say, unit, grid=True, points=True),
    )
    offset = alt.YOffset("kind:N", sort=kinds)
    scale = alt.Scale(domain=kinds, range=[BLUE, PAPER])
    legend = alt.Legend(symbolType="square", symbolStrokeColor=BLUE)
    layers = [
        base.mark_bar(stroke=BLUE, strokeWidth=1.2, height={"band": 0.72}).encode(
            x=x,
            y=y,
            yOffset=offset,
            fill=alt.Fill("kind:N", scale=scale, sort=kinds, legend=legend),
            tooltip=[_tip("label", " "), _tip("kind", " "), _tip("tip", say("change"))],
        ),
        base.mark_text(align="left", dx=5, fontSize=11, color=SOFT)
        .encode(x=x, y=y, yOffset=offset, text="text:N")
        .transform_filter("datum.effect >= 0"),
        base.mark_text(align="right", dx=-5, fontSize=11, color=SOFT)
        .encode(x=x, y=y, yOffset=offset, text="text:N")
        .transform_filter("datum.effect < 0"),
        alt.Chart(_data([{"zero": 0}])).mark_rule(color=INK).encode(x="zero:Q"),
    ]
    return _spec(alt.layer(*layers), 44 * len(order), right=56)


def radar(
    say: Words,
    rows: Sequence[Row],
    limits: tuple[float, float] = (0, 100),
    digits: int = 0,
) -> dict[str, Any]:
    """A polygon of scores (full line, filled) and that of the period before (dashed). rows: axis
    (its label), value, previous or None. At least three axes."""
    low, high = limits
    corner = {row["axis"]: 2 * math.pi * i / len(rows) for i, row in enumerate(rows)}

    def point(axis: str, value: float, wider: float = 1) -> Row:
        size = (value - low) / (high - low)
        x, y = wider * math.sin(corner[axis]), math.cos(corner[axis])
        return {"x": round(size * x, 4), "y": round(size * y, 4)}

    def polygon(key: str, name: str) -> list[Row]:
        known = [row for row in rows if row.get(key) is not None]
        return [
            {
                **point(row["axis"], float(row[key])),
                "i": i,
                "series": name,
                "axis": row["axis"],
                "text": say.number(row[key], digits),
            }
            for i, row in enumerate([*known, *known[:1]])
        ]

    names = [say("now"), say("before")]
    data = polygon("value", names[0]) + polygon("previous", names[1])
    names = [name for name in names if any(row["series"] == name for row in data)]
    rings = [
        {**point(axis, low + share * (high - low)), "i": i, "ring": share}
        for share in (0.25, 0.5, 0.75, 1)
        for i, axis in enumerate([*corner, *list(corner)[:1]])
    ]
    labels = [
        {
            **point(row["axis"], low + 1.16 * (high - low), wider=1.12),
            "label": row["axis"],
            "text": say.number(row["value"], digits),
        }
        for row in rows
    ]
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.6, 1.6], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.25, 1.25], nice=False))
    legend = alt.Legend(symbolType="stroke", symbolSize=300)
    scale = alt.Scale(domain=names, range=[BLUE, ORANGE][: len(names)])
    colour = alt.Color("series:N", sort=names, scale=scale, legend=legend)
    scale = alt.Scale(domain=names, range=[[1, 0], [5, 3]][: len(names)])
    dash = alt.StrokeDash("series:N", sort=names, scale=scale, legend=legend)
    lines = alt.Chart(_data(data))
    tip = [_tip("axis", " "), _tip("series", " "), _tip("text", say("now_value"))]
    layers = [
        alt.Chart(_data(rings))
        .mark_line(color=LINE, strokeWidth=1)
        .encode(x=x, y=y, order="i:O", detail="ring:O"),
        lines.mark_line(strokeWidth=2.25).encode(
            x=x, y=y, order="i:O", color=colour, strokeDash=dash
        ),
        lines.mark_point(size=36, filled=True, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=tip
        ),
        alt.Chart(_data(labels)).mark_text(dy=-7, color=SOFT).encode(x=x, y=y, text="label:N"),
        alt.Chart(_data(labels)).mark_text(dy=8, fontWeight="bold").encode(x=x, y=y, text="text:N"),
    ]
    return _spec(alt.layer(*layers), 250, width=320)


def migration(say: Words, rows: Sequence[Row]) -> dict[str, Any]:
    """Who moved from where to where, with numbers; those who stayed are grey. rows: from, to,
    customers."""
    froms, tos = _order(rows, "from"), _order(rows, "to")
    data = [
        {
            "from": row["from"],
            "to": row["to"],
            "stayed": row["from"] == row["to"],
            "customers": float(row["customers"]),
            "moved": None if row["from"] == row["to"] else float(row["customers"]),
            "text": say.number(row["customers"]),
        }
        for row in rows
        if row["customers"]
    ]
    tip = [_tip("from", say("from")), _tip("to", say("to")), _tip("text", say("customers"))]
    x = alt.X("to:N", sort=tos, title=say("to"), axis=_top_axis(), scale=alt.Scale(domain=tos))
    y = alt.Y("from:N", sort=froms, title=None, scale=alt.Scale(domain=froms))
    base = alt.Chart(_data(data))
    most = max((row["moved"] or 0 for row in data), default=0)
    layers = [
        base.mark_rect(color="#e4e7eb", stroke=PAPER, strokeWidth=2)
        .encode(x=x, y=y, tooltip=tip)
        .transform_filter("datum.stayed"),
        base.mark_rect(stroke=PAPER, strokeWidth=2)
        .encode(x=x, y=y, color=_heat("moved", most), tooltip=tip)
        .transform_filter("!datum.stayed"),
        base.mark_text(fontSize=11.5).encode(
            x=x, y=y, text="text:N", color=_on_heat("moved", most), tooltip=tip
        ),
    ]
    return _spec(alt.layer(*layers), 34 * len(froms))


def cohorts(say: Words, rows: Sequence[Row]) -> dict[str, Any]:
    """Shares still buying by months since the first purchase, in percent. rows: cohort (label),
    month (0, 1, …), value (0..1) or None, customers, is_complete (False: the month is not over,
    shown pale and in italics)."""
    order = _order(rows, "cohort")
    data = [
        {
            "cohort": row["cohort"],
            "month": int(row["month"]),
            "value": float(row["value"]),
            "text": say.number(100 * float(row["value"])),
            "share": say.share(row["value"]),
            "customers": say.number(row["customers"]),
            "complete": bool(row.get("is_complete", True)),
            "about": "" if row.get("is_complete", True) else say("incomplete"),
        }
        for row in rows
        if row["value"] is not None
    ]
    most = max((row["value"] for row in data if row["month"] and row["complete"]), default=1)
    tip = [
        _tip("cohort", say("cohort")),
        _tip("month", say("months_since")),
        _tip("share", say("now_value")),
        _tip("customers", say("customers")),
        _tip("about", " "),
    ]
    x = alt.X("month:O", title=say("months_since"), axis=_top_axis())
    y = alt.Y("cohort:N", sort=order, title=None)
    base = alt.Chart(_data(data))
    layers = [
        base.mark_rect(stroke=PAPER, strokeWidth=1.5)
        .encode(x=x, y=y, color=_heat("value", most), tooltip=tip)
        .transform_filter("datum.complete"),
        base.mark_rect(fill="#f6f7f9", stroke="#b4bcc6", strokeDash=[2, 2])
        .encode(x=x, y=y, tooltip=tip)
        .transform_filter("!datum.complete"),
        base.mark_text(fontSize=11)
        .encode(x=x, y=y, text="text:N", color=_on_heat("value", most), tooltip=tip)
        .transform_filter("datum.complete"),
        base.mark_text(fontSize=11, fontStyle="italic", color=SOFT)
        .encode(x=x, y=y, text="text:N", tooltip=tip)
        .transform_filter("!datum.complete"),
    ]
    return _spec(alt.layer(*layers), 26 * len(order))


def intervals(say: Words, rows: Sequence[Row], unit: str = "share") -> dict[str, Any]:
    """Effects as points with their 95 % intervals, against no effect. rows: label, value, low,
    high; filled where the interval does not contain 0."""
    order = [row["label"] for row in rows]
    data = [
        {
            "label": row["label"],
            "value": _plain(row["value"]),
            "low": _plain(row["low"]),
            "high": _plain(row["high"]),
            "sure": bool(row["low"] > 0 or row["high"] < 0),
            "text": say.change(row["value"], unit),
            "range": f"{say.change(row['low'], unit)} … {say.change(row['high'], unit)}",
        }
        for row in rows
        if None not in (row["value"], row["low"], row["high"])
    ]
    tip = [_tip("label", " "), _tip("text", say("change")), _tip("range", say("interval"))]
    y = alt.Y("label:N", sort=order, title=None, scale=alt.Scale(domain=order))
    axis = _axis(say, unit, grid=True, points=True)
    base = alt.Chart(_data(data))
    layers = [
        alt.Chart(_data([{"zero": 0}])).mark_rule(color=INK).encode(x="zero:Q"),
        base.mark_rule(strokeWidth=2, color=BLUE).encode(
            x=alt.X("low:Q", title=None, axis=axis), x2="high:Q", y=y, tooltip=tip
        ),
        base.mark_tick(thickness=2, height=10, color=BLUE).encode(x=alt.X("low:Q"), y=y),
        base.mark_tick(thickness=2, height=10, color=BLUE).encode(x="high:Q", y=y),
        base.mark_point(size=80, strokeWidth=2, color=BLUE, opacity=1).encode(
            x="value:Q",
            y=y,
            fill=alt.condition("datum.sure", alt.value(BLUE), alt.value(PAPER)),
            tooltip=tip,
        ),
        base.mark_text(dy=-12, fontSize=11).encode(x="value:Q", y=y, text="text:N"),
    ]
    return _spec(alt.layer(*layers), 38 * len(order))


def stacked(say: Words, rows: Sequence[Row], unit: str = "number") -> dict[str, Any]:
    """Horizontal bars of parts, to 100 %, with the numbers in them. rows: label, part, value; the
    parts in their order."""
    order, parts = _order(rows, "label"), _order(rows, "part")
    totals = dict.fromkeys(order, 0.0)
    for row in rows:
        totals[row["label"]] += float(row["value"] or 0)
    data = []
    reached = dict.fromkeys(order, 0.0)
    for row in rows:
        total = totals[row["label"]]
        share = float(row["value"] or 0) / total if total else 0
        start = reached[row["label"]]
        reached[row["label"]] += share
        data.append(
            {
                "label": row["label"],
                "part": row["part"],
                "start": round(start, 6),
                "end": round(start + share, 6),
                "middle": round(start + share / 2, 6),
                "rank": parts.index(row["part"]),
                "text": say.value(row["value"], unit),
                "share": say.share(share),
                "fits": share >= 0.09,
            }
        )
    names = [part for part in parts if part is not None]
    scale = alt.Scale(domain=names, range=list(STEPS[: len(names)]))
    y = alt.Y("label:N", sort=order, title=None)
    tip = [_tip("label", " "), _tip("part", " "), _tip("text", " "), _tip("share", "%")]
    axis = alt.Axis(format=".0%", tickCount=5)
    base = alt.Chart(_data(data))
    layers = [
        base.mark_bar(height=20, stroke=PAPER, strokeWidth=1.5).encode(
            x=alt.X("start:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, 1])),
            x2="end:Q",
            y=y,
            color=alt.Color(
                "part:N", sort=names, scale=scale, legend=alt.Legend(symbolType="square")
            ),
            tooltip=tip,
        ),
        base.mark_text(fontSize=11.5)
        .encode(
            x="middle:Q",
            y=y,
            text="text:N",
            color=alt.condition("datum.rank < 2", alt.value(PAPER), alt.value(INK)),
            tooltip=tip,
        )
        .transform_filter("datum.fits"),
    ]
    return _spec(alt.layer(*layers), ROW * len(order))


def _spec(chart: Any, height: int, width: Any = "container", right: int = 2) -> dict[str, Any]:
    """The chart as a dict. right: room for numbers at the ends of bars, px."""
    spec = chart.properties(height=max(height, ROW), width=width).to_dict()
    spec["padding"] = {"left": 2, "right": right, "top": 2, "bottom": 2}
    spec["config"] = CONFIG
    return spec


def _data(rows: list[Row]) -> alt.Data:
    return alt.Data(values=rows)


def _plain(value: Any) -> float | None:
    """A number JSON knows."""
    if value is None or not math.isfinite(float(value)):
        return None
    return round(float(value), 6)


def _order(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row.get(key) for row in rows))


def _tip(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(field, type="nominal", title=title)


def _top_axis() -> alt.Axis:
    return alt.Axis(orient="top", labelAngle=0, domain=False, ticks=False, labelLimit=90)


def _axis(say: Words, unit: str, *, grid: bool = True, points: bool = False) -> alt.Axis:
    """An axis of a unit. points: differences of shares, in percentage points."""
    common: dict[str, Any] = {"grid": grid, "tickCount": 5}
    if unit == "share":
        if points:
            return alt.Axis(labelExpr="format(100 * datum.value, '~r')", **common)
        return alt.Axis(format="~%", **common)
    if say.language == "zh":
        wan = "abs(datum.value) >= 1e4 ? format(datum.value / 1e4, ',~r') + '万'"
        return alt.Axis(labelExpr=f"{wan} : format(datum.value, ',~r')", **common)
    large = "abs(datum.value) >= 1e4 ? format(datum.value, '~s')"
    return alt.Axis(labelExpr=f"{large} : format(datum.value, ',~r')", **common)


def _series(names: list[str], has_levels: bool) -> tuple[Any, Any, Any]:
    """Colour, dash and shape of the lines; of one line without a legend. has_levels: dashes are
    told in the legend of target and benchmark, so not in that of the lines."""
    if not names:
        return alt.value(BLUE), alt.value([1, 0]), alt.value("circle")
    n = len(names)
    dash = {"legend": None} if has_levels else {}
    kinds = ((alt.Color, SERIES, {}), (alt.StrokeDash, DASHES, dash), (alt.Shape, SHAPES, {}))
    return tuple(
        kind(
            "series:N",
            sort=names,
            scale=alt.Scale(domain=names, range=[values[i % len(values)] for i in range(n)]),
            **more,
        )
        for kind, values, more in kinds
    )


def _levels(say: Words, data: list[Row], unit: str, benchmark: float | None, x: alt.X) -> list[Any]:
    """Lines of the target (dashed, may step) and the benchmark (dotted), named in a legend."""
    rows = [row for row in data if row["target"] is not None]
    names, dashes = [], []
    if rows:
        names.append(f"{say('target')} {say.value(rows[-1]['target'], unit)}")
        dashes.append([6, 4])
    if benchmark is not None:
        names.append(f"{say('benchmark')} {say.value(benchmark, unit)}")
        dashes.append([1, 3])
    scale = alt.Scale(domain=names, range=dashes)
    legend = alt.Legend(symbolType="stroke", symbolStrokeColor=INK, symbolSize=300)
    dash = alt.StrokeDash("name:N", scale=scale, legend=legend)
    layers = []
    if rows:
        named = [{**_only(row, "period", "target"), "name": names[0]} for row in rows]
        layers.append(
            alt.Chart(_data(named))
            .mark_line(color=INK, strokeWidth=1.5, interpolate="step")
            .encode(x=x, y=alt.Y("target:Q", title=None), strokeDash=dash)
        )
    if benchmark is not None:
        named = [
            {"period": row["period"], "benchmark": _plain(benchmark), "name": names[-1]}
            for row in data
        ]
        layers.append(
            alt.Chart(_data(named))
            .mark_line(color=INK, strokeWidth=2)
            .encode(x=x, y=alt.Y("benchmark:Q", title=None), strokeDash=dash)
        )
    return layers


def _only(row: Row, *keys: str) -> Row:
    return {key: row[key] for key in keys}


def _bar_ends(base: alt.Chart, y: alt.Y, has_expected: bool, most: float) -> Any:
    """The number at the end of a bar, clear of the stroke of what is expected."""
    far = "datum.actual"
    if has_expected:
        # A stroke just behind the end would cross the number.
        room = f"datum.expected - datum.actual < {0.14 * most:.6f}"
        far = f"datum.expected >= datum.actual && {room} ? datum.expected : datum.actual"
    return (
        base.transform_calculate(end=far)
        .mark_text(align="left", dx=7)
        .encode(x=alt.X("end:Q", title=None), y=y, text="text:N")
    )


def _heat(field: str, most: float) -> alt.Color:
    scale = alt.Scale(domain=[0, most or 1], range=list(RAMP), clamp=True)
    return alt.Color(f"{field}:Q", scale=scale, legend=None)


def _on_heat(field: str, most: float) -> Any:
    """Text that can be read on its cell."""
    dark = f"datum.{field} > {0.55 * (most or 1):.6f}"
    return alt.condition(dark, alt.value(PAPER), alt.value(INK))
